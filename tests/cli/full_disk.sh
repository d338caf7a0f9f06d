#!/bin/sh
# A disk that fills while a run goes on (r.A5's shape): nothing ends, the numbers are those of a roomy run, it is said once, and the next save works.
. "$top_srcdir/tests/cli/lib.sh"
mkdir full
if ! mount -t tmpfs -o size=8m none full 2>/dev/null; then
    skip "a full disk" "no tmpfs can be mounted here"
    finish
fi
trap 'cd /; umount "$work/full"; rm -rf "$work"' EXIT
cat >full.lua <<'LUA'
-- Fills arg[1] after the third epoch, frees it after the 20th.
local data = hone.data{ "german-credit", val = 200 }
local m = nn.model{ input = data, nn.linear{256}, nn.relu{}, nn.linear{2} }
local run = hone.train{ model = m, data = data, epochs = 40, batch = 16, optim = optim.adam{ lr = 1e-4 } }
local function fill(path)
    local f, n = assert(io.open(path, "w")), 65536
    f:setvbuf("no")
    while n >= 1 do
        if not f:write(("x"):rep(n)) then n = n // 2 end
    end
    f:close()
end
run:on("epoch", function(e)
    if not arg[1] or (e.epoch ~= 3 and e.epoch ~= 20) then return end
    run:pause()
    if e.epoch == 3 then fill(arg[1]) else os.remove(arg[1]) end
    run:resume()
end)
local r = run:wait()
print(string.format("%s %d %a %a", r.state, r.step, r.loss, r.val_loss))
LUA
is 0 '^done 2000 ' "a run with room" --plain --runs roomy run full.lua
grep '^done 2000 ' out >want
is 0 '^done 2000 ' "a run whose disk is full for half of its time" --plain --runs full/runs run full.lua full/x
grep '^done 2000 ' out | cmp -s - want
ok $? "to the same bits of loss"
[ "$(grep -cE 'could not be saved|Cannot write' err)" = 1 ] && grep -qE 'No space left on device' err
ok $? "said once: $(grep -cE 'could not be saved|Cannot write' err)"
test -s full/runs/german-credit-1/ckpt/2000/commit
ok $? "the last checkpoint is there"
steps=$("$hone" --json --runs full/runs status </dev/null 2>/dev/null | head -n1)
echo "$steps" | grep -q '"state":"done".*"step":2000\|"step":2000.*"state":"done"'
ok $? "and the record of the run is whole"
"$hone" --plain --runs full/runs train resume=german-credit-1 epochs=41 >out 2>err </dev/null
ok $? "from which it goes on"
cat >large.lua <<'LUA'
local data = hone.data{ "german-credit", val = 200 }
local m = nn.model{ input = data, nn.linear{2000}, nn.relu{}, nn.linear{400}, nn.relu{}, nn.linear{2} }
hone.train{ model = m, data = data, steps = 1, optim = "adam" }:wait()
LUA
is 0 'the folder of runs has [0-9.]+ MB of room, a checkpoint of this run takes 1[0-9.]+ MB' "a disk without room for one checkpoint is told before the first step" \
    --plain --runs full/runs run large.lua
finish
