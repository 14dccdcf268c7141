// Prints the settings file that is installed, from the programs' own table; it runs while mana-sync is built.
#include "shared/runtime/configuration.hpp"

#include <iostream>

int main() {
    std::cout << mana::runtime::sample_environment_file();
}
