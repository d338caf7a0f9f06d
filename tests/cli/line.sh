#!/bin/sh
# Line mode: -c, standard input, scripts, --json, signals.
. "$top_srcdir/tests/cli/lib.sh"
is 0 'train' "-c help" -c help
is 0 '' "status --json" --json status
echo 'help train' | "$hone" >out 2>err
ok $? "commands on standard input"
grep -q epochs out
ok $? "and their answer"
echo '= 1 + 1' | "$hone" --quiet >out 2>err
ok $? "Lua on standard input"
grep -qx 2 out
ok $? "and its value"
printf 'help\nnonsense = = 1\nhelp\n' | "$hone" >out 2>err
[ $? = 1 ]
ok $? "a mistake ends it with 1"
echo 'print("hello " .. arg[1])' >s.lua
is 0 '^hello world' "a script with an argument" run s.lua world
"$hone" run - world <s.lua >out 2>err
[ $? = 0 ] && grep -q '^hello world' out
ok $? "a script on standard input"
printf '#!/usr/bin/env hone\nlocal x = = 1' | "$hone" run - >out 2>err
[ $? = 1 ] && grep -q 'stdin:2: unexpected symbol' err
ok $? "whose mistakes have its lines"
printf 'print(1)\0' | "$hone" run - >out 2>err
[ $? = 1 ] && grep -q 'NUL byte at offset 8' err
ok $? "and which is text"
"$hone" --json run s.lua world >out 2>err </dev/null
! grep -q hello out && grep -q 'hello world' err
ok $? "print goes to stderr under --json"
printf '%s\n' 'io.stdout:write("written\n") io.stdout:flush() hone.result{acc=1}' >w.lua
"$hone" --json run w.lua >out 2>err </dev/null
! grep -q written out && grep -q written err && grep -q '"acc":1' out
ok $? "so does io.stdout"
echo 'local x = = 1' >bad.lua
is 1 'bad.lua' "a syntax error is one sentence" run bad.lua
echo 'error("no luck")' >bad.lua
is 1 'no luck' "a script that raises" run bad.lua
echo 'hone.result{acc=0.5}' >r.lua
is 0 'acc' "a result is printed" run r.lua
is 0 '"event":"result"' "and an object with --json" --json run r.lua
printf 'print("a\\27[31mb")' >e.lua
"$hone" run e.lua >out 2>err </dev/null
! grep -q "$(printf '\033')" out
ok $? "no escape of a script reaches the output"
echo 'print("ready") while true do end' >loop.lua
endless() { # starts it; it has its signal handlers once it has printed
    rm -f out
    "$hone" run loop.lua >out 2>err </dev/null &
    pid=$!
    k=0
    while ! grep -q ready out 2>/dev/null && [ $k -lt 300 ]; do
        k=$((k + 1))
        sleep 0.1
    done
}
endless
kill -INT $pid 2>/dev/null
wait $pid
code=$?
# a background job of a shell without job control starts with INT ignored: the program installs its own handler all the same
[ $code = 3 ]
ok $? "INT stops an endless script: exit $code"
endless
kill -TERM $pid
wait $pid
code=$?
[ $code = 75 ]
ok $? "TERM ends with 75: exit $code"
finish
