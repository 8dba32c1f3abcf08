#!/bin/sh
# setup.sh: puts dstorage.dll into a Wine prefix or into a Proton, and takes it out again.
#
# Says each thing it does. What stood in the way is kept and put back by `uninstall`, which removes what
# `install` brought and nothing else. Both may be run again: they then find nothing to do. The record of what
# was done is the folder `ds-runtime` in the prefix or the Proton. docs/players.md tells the rest.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
set -eu

usage() {
    cat >&2 <<'END'
usage: setup.sh install   --prefix DIR | --proton DIR
       setup.sh uninstall --prefix DIR | --proton DIR

  --prefix DIR   a Wine prefix (or Steam's compatdata folder of a game), for Wine itself
  --proton DIR   a Proton, for all games that run with it
END
    exit 2
}

fail() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}

say() { printf '%s\n' "$*"; }

# The checksum and size of a file: how we know that it is still what we put there.
sum_of() { cksum <"$1"; }

# The recorded sum of a file, given relative to $base; empty if we did not put it there.
recorded() {
    [ ! -f "$record" ] || while IFS=' ' read -r sum size path; do
        if [ "$path" = "$1" ]; then printf '%s %s' "$sum" "$size"; fi
    done <"$record"
}

# Adds a file to the record, or renews what it says of it.
remember() {
    forget "$1"
    printf '%s %s\n' "$(sum_of "$base/$1")" "$1" >>"$record"
}

forget() {
    [ -f "$record" ] || return 0
    while IFS= read -r line; do
        [ "${line#* * }" = "$1" ] || printf '%s\n' "$line"
    done <"$record" >"$record.new"
    mv "$record.new" "$record"
}

is_ours() { [ -f "$base/$1" ] && [ "$(recorded "$1")" = "$(sum_of "$base/$1")" ]; }

# put FILE PATH: copies FILE to PATH below $base, keeping what another put there.
put() {
    if [ -f "$base/$2" ] && cmp -s "$1" "$base/$2"; then
        say "there already: $base/$2"
        return
    fi
    if { [ -e "$base/$2" ] || [ -L "$base/$2" ]; } && ! is_ours "$2"; then
        mkdir -p "$state/kept/$(dirname "$2")"
        [ ! -e "$state/kept/$2" ] || fail "$state/kept/$2 is in the way: was it left by an older run?"
        mv "$base/$2" "$state/kept/$2"
        say "kept: $base/$2, now $state/kept/$2"
    fi
    mkdir -p "$(dirname "$base/$2")"
    # Whoever has the old file open keeps it whole.
    cp "$1" "$base/$2.new"
    mv "$base/$2.new" "$base/$2"
    remember "$2"
    say "installed: $base/$2"
}

# take PATH: removes what put() brought, and puts back what it kept.
take() {
    if is_ours "$1"; then
        rm "$base/$1"
        say "removed: $base/$1"
    elif [ -e "$base/$1" ]; then
        say "left alone, for it is not what was installed: $base/$1"
    fi
    if [ -e "$state/kept/$1" ] || [ -L "$state/kept/$1" ]; then
        if [ -e "$base/$1" ]; then
            say "left where it is, for its place is taken: $state/kept/$1"
        else
            mv "$state/kept/$1" "$base/$1"
            say "put back: $base/$1"
        fi
    fi
    forget "$1"
}

# Below $base: the folders that Wine is told to look into, and for a prefix where Windows looks.
install() {
    for half in x86_64-windows x86_64-unix; do
        for file in "$libraries/$half"/dstorage*; do
            put "$file" "$wine/$half/$(basename "$file")"
        done
    done
    [ -z "$system" ] || for file in "$libraries"/x86_64-windows/*.dll; do
        put "$file" "$system/$(basename "$file")"
    done
}

uninstall() {
    if [ ! -f "$record" ]; then
        say "nothing is installed in $base"
        return
    fi
    # take() changes the record, so read it to its end first.
    paths=$(while IFS=' ' read -r _ _ path; do printf '%s\n' "$path"; done <"$record")
    printf '%s\n' "$paths" | while IFS= read -r path; do
        [ -z "$path" ] || take "$path"
    done
    [ -s "$record" ] || rm "$record"
    # Only folders that are empty go.
    find "$state" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ ! -d "$state" ] || say "left, for it is not empty: $state"
}

# The folder in a Proton (or a Wine of another maker) that has Wine's libraries, relative to it.
find_wine() {
    for folder in files/lib/wine files/lib64/wine dist/lib64/wine lib/wine lib64/wine; do
        if [ -f "$base/$folder/x86_64-unix/ntdll.so" ] && [ -d "$base/$folder/x86_64-windows" ]; then
            printf '%s' "$folder"
            return
        fi
    done
    fail "$base is no Proton: it has no x86_64-windows and x86_64-unix/ntdll.so where one has them"
}

if [ $# -ne 3 ]; then usage; fi
verb=$1 kind=$2
case $verb in install | uninstall) ;; *) usage ;; esac
[ -d "$3" ] || case $kind in
--prefix) fail "there is no folder $3; if it is to be a prefix, let Wine make it first: wine wineboot" ;;
*) fail "there is no folder $3" ;;
esac
base=$(CDPATH='' cd -- "$3" && pwd)
case $kind in
--prefix)
    [ ! -d "$base/pfx/drive_c" ] || base=$base/pfx
    system=drive_c/windows/system32
    [ -d "$base/$system" ] || fail "$base is no Wine prefix: it has no $system"
    wine=ds-runtime/wine
    ;;
--proton)
    wine=$(find_wine)
    system=
    ;;
*) usage ;;
esac
state=$base/ds-runtime
record=$state/installed
libraries=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/lib/wine

if [ "$verb" = uninstall ]; then
    uninstall
    exit
fi
[ -f "$libraries/x86_64-unix/dstorage.so" ] ||
    fail "there is no $libraries: run this from the release archive"
mkdir -p "$state"
install
if [ "$kind" = --prefix ]; then
    say "To use it, start the program with WINEDLLPATH=\"$base/$wine\" in the environment."
else
    say "To use it, choose this Proton for the game."
fi
say "To see it at work, set DS_LOG=info, too."
