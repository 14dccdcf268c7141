#include "tests/checker/parts/network.hpp"

#include "tests/checker/parts/program.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace mana::checker {

namespace {

constexpr auto inner_link = "parts";
constexpr auto no_rules = "delete table inet cut";

/// Their folders may be missing from the search path of who is not root.
std::string find_program(const std::string& name) {
    for (const std::string folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"})
        if (std::filesystem::exists(folder + name)) return folder + name;
    return {};
}

/// A thread of its own enters it: this one stays where it is.
runtime::unique_fd make_namespace() {
    int made = -1;
    int error = 0;
    std::thread{[&] {
        if (::unshare(CLONE_NEWNET) == 0) made = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (made < 0) error = errno;
    }}.join();
    if (made < 0) throw std::system_error{error, std::generic_category(), "no network namespace"};
    return runtime::unique_fd{made};
}

/// One of the networks of four addresses in 198.18.0.0/15, which is set aside for tests of networks. The
/// process decides which, so that several checkers don't meet.
std::string address_of(unsigned place) {
    constexpr unsigned networks = 1U << 15U;
    const auto host = static_cast<unsigned>(::getpid()) % networks * 4 + place;
    return "198." + std::to_string(18 + (host >> 16U)) + '.' + std::to_string((host >> 8U) & 0xFFU) + '.' +
           std::to_string(host & 0xFFU);
}

std::string list_of(const std::vector<int>& ports) {
    std::string list;
    for (const int port : ports) list += (list.empty() ? "" : ", ") + std::to_string(port);
    return list;
}

std::string rules_for(const std::string& to_parts, const std::string& from_parts, const std::string& ports) {
    return "table inet cut {\n chain to_parts { type filter hook input priority 0;\n tcp dport { " + ports +
           " } " + to_parts + "\n }\n chain from_parts { type filter hook output priority 0;\n tcp sport { " +
           ports + " } " + from_parts + "\n }\n}\n";
}

} // namespace

network::network(std::string log_file)
    : log_file_(std::move(log_file)), outer_link_("check" + std::to_string(::getpid())),
      outer_address_(address_of(1)), inner_address_(address_of(2)), namespace_(make_namespace()) {
    const auto ip = find_program("ip");
    run({ip, "link", "add", outer_link_, "type", "veth", "peer", "name", inner_link, "netns", path()});
    run({ip, "address", "add", outer_address_ + "/30", "dev", outer_link_});
    run({ip, "link", "set", outer_link_, "up"});
    run(inside({ip, "address", "add", inner_address_ + "/30", "dev", inner_link}));
    run(inside({ip, "link", "set", inner_link, "up"}));
    // By it a program inside is told that its connection is torn.
    run(inside({ip, "link", "set", "lo", "up"}));
}

// The system would do it too, but takes its time: another one is to find its link's name free.
network::~network() {
    try {
        run({find_program("ip"), "link", "delete", outer_link_});
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): the system does it
    }
}

std::string network::path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(namespace_.get());
}

void network::run(const std::vector<std::string>& command) const {
    if (program{command, {}, log_file_}.succeeded()) return;
    std::string line;
    for (const auto& word : command) line += ' ' + word;
    throw std::runtime_error("a network of one's own: failed:" + line);
}

std::vector<std::string> network::inside(std::vector<std::string> command) const {
    command.insert(command.begin(), {find_program("nsenter"), "--net=" + path(), "--"});
    return command;
}

bool network::filter(const std::string& rules) const {
    return program{inside({find_program("nft"), rules}), {}, log_file_}.succeeded();
}

std::string lacking_for_network() {
    for (const auto* name : {"ip", "nsenter", "nft"})
        if (find_program(name).empty()) return name;
    try {
        const end_to_end::scratch_folder folder;
        const network tried{folder.file("network.log")};
        const cut nothing{tried, {1}, lost_packets::all};
        return {};
    } catch (const std::exception&) {
        return "the right to make a network namespace";
    }
}

cut::cut(const network& of, const std::vector<int>& ports, lost_packets which)
    : network_(of), ports_(list_of(ports)) {
    apply(rules_for(which == lost_packets::answers ? "accept" : "drop",
                    which == lost_packets::requests ? "accept" : "drop", ports_));
}

cut::~cut() {
    try {
        apply(no_rules);
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): the run fails, for nothing comes back
    }
}

void cut::tear() {
    constexpr auto reset = "reject with tcp reset";
    apply(std::string(no_rules) + '\n' + rules_for(reset, reset, ports_));
}

void cut::apply(const std::string& rules) {
    if (!network_.filter(rules)) throw std::runtime_error("nft did not take the rules: " + rules);
}

} // namespace mana::checker
