// Boost.JSON and Boost.URL as a part of the fuzz targets, with the coverage and the sanitizers of these.
#include <boost/json/src.hpp>
#include <boost/url/src.hpp>
