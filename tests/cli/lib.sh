# TAP for shell tests of the command line: sourced. $hone is the program, $work a folder of its own that is removed at the end.
hone=$top_builddir/hone
n=0 bad=0
work=$(mktemp -d "${TMPDIR:-/tmp}/hone-cli-XXXXXX") || exit 99
trap 'cd /; rm -rf "$work"' EXIT
cd "$work" || exit 99
unset HONE_RUNS HONE_SOCKET_DIR
export LC_ALL=C.UTF-8
ok() { # ok STATUS NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi
}
# is WANT-CODE PATTERN NAME ARG..: exit code and a pattern in what it says ("" none asked, in stdout and stderr together)
is() {
    want=$1 pattern=$2 name=$3
    shift 3
    timeout 60 "$hone" "$@" >out 2>err </dev/null
    got=$?
    if [ "$got" = "$want" ] && { [ -z "$pattern" ] || cat out err | grep -qE -e "$pattern"; }; then ok 0 "$name"
    else
        ok 1 "$name"
        echo "# exit $got, want $want; said: $(cat out err | head -c 300 | tr '\n' '|')"
    fi
}
script() { # script CODE PATTERN NAME: the Lua text on standard input
    cat >s.lua
    is "$1" "$2" "$3" run --plain s.lua
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
finish() {
    echo "1..$n"
    exit "$bad"
}
