# shellcheck shell=bash
# For the tests of what meson installs: it puts that into a folder, whole, from the build that is under test.

# Sets installed_prefix and installed_etc, the folders in it that /usr and /etc would be; who sources this reads them.
# shellcheck disable=SC2034
install_into() { # FOLDER
    local build prefix
    build=$(cd "$(dirname "$MANA_TEST_WORKER_PROGRAM")/.." && pwd)
    DESTDIR=$1 meson install -C "$build" --no-rebuild --quiet
    prefix=$(cd "$1" && find usr -path '*/sbin/mana-sync-worker')
    installed_prefix=$1/${prefix%/sbin/*}
    installed_etc=$(dirname "$(find "$1" -type d -path "*/etc/mana-sync")")
}
