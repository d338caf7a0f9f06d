#!/bin/sh
# The socket's place cannot be hijacked: links, wrong modes, wrong kinds are refused; stale state is not in the way.
. "$top_srcdir/tests/cli/lib.sh"
session() { # session SECONDS-IDLE; its exit code
    timeout 20 "$hone" --session --idle "$1" >out 2>err </dev/null
}
export HONE_SOCKET_DIR="$work/s"
session 0.3
ok $? "a session starts, is idle and ends"
[ "$(stat -c %a s)" = 700 ]
ok $? "the folder is 0700"
[ -z "$(find s -name '*.sock')" ]
ok $? "the socket is gone after the end"
id=$(basename "$(find s -name '*.lock')" .lock)
refused() { # refused PATTERN NAME; every one is a set-up of r.G1
    session 0.3
    code=$?
    if [ $code = 1 ] && grep -qE -e "$1" err; then ok 0 "r.G1: $2"; else
        ok 1 "r.G1: $2"
        echo "# exit $code: $(head -c 300 err)"
    fi
}
ln -s /etc/passwd "s/$id.sock"
refused 'not a socket of yours' "t.D6: a symlink at the socket's place"
[ -L "s/$id.sock" ]
ok $? "and it is left alone"
is 1 'no session is running' "a client is not led by it" clients
rm "s/$id.sock"
ln -s "$work/nowhere" "s/$id.sock"
refused 'not a socket of yours' "a dangling symlink"
rm "s/$id.sock"
echo >"s/$id.sock"
refused 'not a socket of yours' "a plain file"
rm "s/$id.sock"
mkdir "s/$id.sock"
refused 'not a socket of yours' "a folder"
rmdir "s/$id.sock"
rm "s/$id.lock"
ln -s "$work/other" "s/$id.lock"
refused 'lock' "a symlink at the lock's place"
[ ! -e other ]
ok $? "made nothing behind it"
rm "s/$id.lock"
chmod 750 s
refused 'mode 0750' "group may enter"
chmod 701 s
refused 'mode 0701' "others may enter"
chmod 700 s
mv s real
ln -s real s
refused 'not a plain folder' "a symlink as the folder"
rm s
echo >s
refused 'not a plain folder' "a file as the folder"
rm s
mv real s
mkdir open
chmod 777 open
HONE_SOCKET_DIR=$work/open/s session 0.3
[ $? = 1 ] && grep -q 'sticky' err
ok $? "r.G1: a parent that others can write in without the sticky bit"
HONE_SOCKET_DIR=$(printf '/tmp/%0600d' 0) session 0.3
[ $? = 1 ] && grep -q 'characters long' err
ok $? "r.G1: a path that is too long"
if [ "$(id -u)" = 0 ]; then
    chown 65534 s
    refused 'belongs to user 65534' "another owner"
    chown 0 s
else
    skip "another owner" "needs root"
fi
# a link that comes and goes while sessions start: nothing may ever be made behind it, and no start may end without a word
mkdir aim
( while [ ! -e halt ]; do
    ln -s "$work/aim" "s/$id.sock" 2>/dev/null; rm -f "s/$id.sock"
    ln -s "$work/aim/lock" "s/$id.lock" 2>/dev/null; rm -f "s/$id.lock"
done ) &
racer=$!
rounds=20 words=0
[ -n "$HONE_LONG" ] && rounds=300
[ "$HONE_LONG" = full ] && rounds=1000
for i in $(seq $rounds); do
    session 0.001
    code=$?
    { [ $code = 0 ] || [ -s err ]; } && words=$((words + 1))
done
: >halt
wait $racer
[ $words = $rounds ] && [ -z "$(ls aim)" ]
ok $? "r.G1: $rounds starts beside a link that comes and goes: none followed it, each worked or said why"
rm -f "s/$id.sock" "s/$id.lock"
# the mode as it is seen from the first moment: a socket that others could open is never there
( while [ ! -e stop ]; do stat -c %a s/*.sock 2>/dev/null; done ) >modes &
looker=$!
for i in $(seq $rounds); do session 0.001; done
: >stop
wait $looker
ok "$(grep -cv '^600$' modes)" "r.G3: $(grep -c . modes) looks during $rounds starts: always 0600"
# stale: killed sessions leave a socket and a free lock
"$hone" --session --idle 30 >/dev/null 2>&1 </dev/null &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10; do [ -S "s/$id.sock" ] && break; sleep 0.1; done
[ "$(stat -c %a "s/$id.sock")" = 600 ]
ok $? "r.G3: the socket is the owner's alone"
is 0 'owner' "a client is answered" clients
kill -9 $pid
wait $pid 2>/dev/null
is 1 'no session is running' "a killed session is known to be gone" clients
"$hone" --session --idle 30 >/dev/null 2>&1 </dev/null &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10; do timeout 5 "$hone" clients >/dev/null 2>&1 && break; sleep 0.1; done
is 0 'owner' "the next start clears what it left" clients
session 0.3
ok $? "a second session of the folder leaves at once"
is 0 'owner' "and the first is still there" clients
kill -TERM $pid
wait $pid
[ $? = 75 ]
ok $? "TERM ends a session with 75"
finish
