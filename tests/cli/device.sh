#!/bin/sh
# Devices: what is missing is said in words; a training on the fake device (tests/cuda) gives the CPU's numbers, its checkpoints and saved models are the
# CPU's; a device that runs out of memory or is lost ends the run with a sentence and leaves the last checkpoint.
. "$top_srcdir/tests/cli/lib.sh"
fake=$top_builddir/tests/cuda/hone_cuda.so
unset HONE_CUDA HONE_FAKE_CUDA
is 1 'no plugin for cuda \(hone_cuda.so\).*--device cpu' "no plugin" --device cuda doctor --fast
HONE_CUDA=$work/none.so; export HONE_CUDA
is 1 'device cuda is not there: cannot open' "a plugin that cannot be opened" --device cuda doctor --fast
if [ ! -e "$fake" ]; then
    skip "the fake device" "no C++ compiler, or built with a sanitizer"
    finish
fi
HONE_CUDA=$fake
is 0 'fake device on the CPU' "doctor names the device" doctor --fast
grep -q 'plugin for cuda was built for no GPU: what it finds runs on the CPU' out
ok $? "and what its plugin was built for"
is 1 'this machine has 1 of them' "a device number too high" --device cuda:3 doctor --fast
HONE_FAKE_CUDA=none; export HONE_FAKE_CUDA
is 1 'the NVIDIA driver finds no device' "no device" --device cuda doctor --fast
is 0 'the NVIDIA driver finds no device' "doctor goes on without one" doctor --fast
HONE_NVML=$work/none.so; export HONE_NVML
is 0 'no readings: .*none.so cannot be opened' "doctor goes on without NVML" doctor --fast
HONE_NVML=$top_builddir/tests/cuda/nvml.so
is 0 '0: fake large, 87 % busy, 12.0 of 80.0 GiB used, 61 C, 412 W, limit 700 W, 1980 MHz, memory 2619 MHz$' "doctor reads the meters of a device" doctor --fast
is 0 '1: fake plain, 12.0 of 80.0 GiB used$' "and leaves out what a device does not tell" doctor --fast
HONE_FAKE_NVML=hot; export HONE_FAKE_NVML
is 0 'slowed down by the power limit and its temperature, 2 memory errors' "a hot device with memory errors" doctor --fast
HONE_FAKE_NVML=lost
is 0 '0: GPU is lost; dmesg' "a device off the bus" doctor --fast
HONE_FAKE_NVML=driver
is 0 'no readings: Driver Not Loaded' "NVML without a driver" doctor --fast
unset HONE_NVML HONE_FAKE_NVML
HONE_FAKE_CUDA=driver
is 1 'the driver' "a driver too old" --device cuda doctor --fast
unset HONE_FAKE_CUDA
cat >small.csv <<'EOF'
a,b,c,y
EOF
i=0
while [ $i -lt 200 ]; do
    echo "$((i * 37 % 101)).5,$((i * 53 % 89)),$((i % 7)),$((i * 37 % 101 > 50))"
    i=$((i + 1))
done >>small.csv
cat >train.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y", val = 40 }
local net = nn.model{ input = d, nn.layer_norm{}, nn.linear{32}, nn.gelu{}, nn.linear{16}, nn.relu{}, nn.linear{2} }
local run = hone.train{ model = net, data = d, epochs = 3, batch = 16, optim = optim.adamw{ lr = 3e-3 }, clip_norm = 1 }
local w = run:wait()
local r = hone.eval{ model = net, data = d.val }
net:save(arg[1])
hone.result{ loss = w.loss, acc = r.acc, val_loss = r.loss }
EOF
result() { sed -n 's/.*"event":"result".*"values":{\([^}]*\)}.*/\1/p' "$1" | tail -1; }
"$hone" --json --runs r1 run train.lua cpu.hone >cpu.json 2>err; ok $? "training on the CPU"
"$hone" --json --runs r2 --device cuda run train.lua gpu.hone >gpu.json 2>>err; ok $? "training on the device"
grep -q '"device":"cuda","tf32":false' gpu.json; ok $? "the run says where it computes, and how exactly"
(echo 'hone.prop.tf32 = true' && cat train.lua) >tf32.lua
"$hone" --json --runs rt --device cuda run tf32.lua tf32.hone >tf32.json 2>>err && grep -q '"tf32": true' rt/small-1/run.json; ok $? "a run by TF32 has it in run.json"
"$hone" -c 'set tf32 true' -c 'doctor fast=true' >out 2>>err; grep -q 'rounded to TF32 (tf32 = true)' out
ok $? "doctor says how products of fp32 are computed"
# the thread of the readings may come late on a busy machine
for try in 1 2 3; do
    HONE_NVML=$top_builddir/tests/cuda/nvml.so "$hone" --json --runs rm --device cuda run train.lua m.hone >m.json 2>>err
    "$hone" export --runs rm small-$try --prometheus --out gpu.prom >out 2>>err
    grep -q gpu_watts gpu.prom && break
done
[ "$(sed -n 's/.*metric="gpu_\([a-z]*\)"} /\1 /p' gpu.prom | tr '\n' ' ')" = "use 87 gib 12 watts 412.345 celsius 61 mhz 1980 " ]
ok $? "the device's load, memory, power, temperature and clock are among the run's numbers and of what Prometheus reads"
cmp -s gpu.hone m.hone; ok $? "and change none of its bits"
awk -v a="$(result cpu.json)" -v b="$(result gpu.json)" 'BEGIN {
    n = split(a, x, ","); m = split(b, y, ","); bad = n != m || n < 3
    for (i = 1; i <= n; i++) { split(x[i], p, ":"); split(y[i], q, ":"); d = p[2] - q[2]; if (d < 0) d = -d; if (d > 1e-3) bad = 1 }
    exit bad }'
ok $? "losses within 1e-3 of the CPU: $(result gpu.json)"
"$hone" --json --runs r3 --device cuda run train.lua gpu2.hone >gpu2.json 2>>err
[ "$(result gpu.json)" = "$(result gpu2.json)" ] && cmp -s gpu.hone gpu2.hone; ok $? "the same bits twice"
HONE_FAKE_CUDA=instance "$hone" --json --runs r3 --device cuda run train.lua plain.hone >plain.json 2>err && cmp -s gpu.hone plain.hone
ok $? "a device that keeps no run gives the same bits $(cat err)"
cat >eval.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y", val = 40 }
local r = hone.eval{ model = hone.load(arg[1]), data = d.val }
hone.result{ acc = r.acc, loss = r.loss }
EOF
"$hone" --json run eval.lua gpu.hone >p1 2>>err && "$hone" --json --device cuda run eval.lua gpu.hone >p2 2>>err
[ -n "$(result p1)" ] && [ "$(result p1 | cut -c1-24)" = "$(result p2 | cut -c1-24)" ]; ok $? "what was trained there is evaluated here as there: $(result p1)"
# precision=fp8: refused in words where it is not there, else a small loss of accuracy that the report names
cat >fp8.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y", val = 40 }
local r = hone.eval{ model = hone.load("gpu.hone"), data = d.val, precision = "fp8" }
hone.result{ acc = r.acc, loss = r.loss, fp8 = r.precision == "fp8" and 1 or 0 }
EOF
is 1 'precision=fp8 needs a GPU of compute capability 8.9 or newer.*bf16 works' "fp8 on the CPU" run fp8.lua
HONE_FAKE_CUDA=capability=80; export HONE_FAKE_CUDA
is 1 'cuda .fake device on the CPU. has compute capability 8.0; fp8 needs 8.9 or newer; bf16 works' "fp8 on an older device" --device cuda run fp8.lua
is 0 'compute capability 8.0, .*too old for precision=fp8' "doctor says so" doctor --fast
unset HONE_FAKE_CUDA
is 0 'compute capability 9.0, .*precision=fp8 works' "and that a newer one has it" doctor --fast
"$hone" --json --device cuda run fp8.lua >p3 2>err; ok $? "fp8 on a newer one $(cat err)"
awk -v a="$(result p2)" -v b="$(result p3)" 'BEGIN {
    n = split(a, x, /[:,]/); m = split(b, y, /[:,]/)
    exit !(n == 4 && m == 6 && y[4] == 1 && x[2] - y[2] < 0.06 && y[2] - x[2] < 0.06 && x[4] != y[6] && x[4] - y[6] < 0.05 && y[6] - x[4] < 0.05) }'
ok $? "its answers are those of fp32 but for the rounding: $(result p2), $(result p3)"
# a model that was compressed to 8 bits runs there whole
"$hone" --runs rq -c 'compress model=gpu.hone data={small.csv, y=y, val=40} recipe=quant.int8{choose=false} force=true max_drop=1 seconds=0.05 save=int8.hone' >out 2>&1
sed 's/gpu.hone/int8.hone/; s/, precision = "fp8"//' fp8.lua >int8.lua
"$hone" --json run int8.lua >p4 2>>err && "$hone" --json --device cuda run int8.lua >p5 2>err
[ -n "$(result p4)" ] && [ "$(result p4 | cut -c1-30)" = "$(result p5 | cut -c1-30)" ] && ! grep -q 'has no kernel' err p5
ok $? "a model in 8 bits gives the CPU's answers, no step is left to the CPU: $(result p4) $(result p5) $(cat err)"
"$hone" --json --device cuda bench model=gpu.hone precision=fp8 seconds=1 >b1 2>err && grep -q '"device":"cuda".*"precision":"fp8"' b1; ok $? "a model is timed on the device $(cat err)"
is 2 'precision=fp8 needs a GPU' "and not in fp8 on the CPU" bench model=gpu.hone precision=fp8 seconds=1
is 2 'precision.*fp8' "training does not take it" -c 'train precision=fp8'
cat >optims.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y" }
local list = { optim.sgd{ lr = 0.1 }, optim.sgd{ lr = 0.05, momentum = 0.9, nesterov = true }, optim.adam{ amsgrad = true }, optim.adamw{}, optim.adamax{}, optim.nadam{},
    optim.radam{}, optim.adagrad{}, optim.adadelta{ lr = 1 }, optim.rmsprop{ centered = true, momentum = 0.5 }, optim.lion{ lr = 1e-3 }, optim.asgd{}, optim.rprop{ lr = 1e-3 },
    optim.lamb{}, optim.adafactor{}, optim.muon{}, optim.muon{ adjust = "match_rms_adamw", nesterov = false }, optim.adam{ bits = 8 } }
local r = {}
for i, o in ipairs(list) do
    local wide = i == #list and { 64, 64 } or { 8, 6 } -- 8 bits are for weights of 4096 numbers and more
    local net = nn.model{ input = d, nn.layer_norm{}, nn.linear{wide[1]}, nn.tanh{}, nn.linear{wide[2]}, nn.tanh{}, nn.linear{2} }
    r["o" .. i] = hone.train{ model = net, data = d, steps = 4, batch = 50, optim = o }:wait().loss
end
hone.result(r)
EOF
"$hone" --json --quiet --runs r7 run optims.lua >cpu.json 2>err && "$hone" --json --quiet --runs r8 --device cuda run optims.lua >gpu.json 2>>err
awk -v a="$(result cpu.json)" -v b="$(result gpu.json)" 'BEGIN {
    n = split(a, x, ","); m = split(b, y, ","); bad = n != m || n != 18
    for (i = 1; i <= n; i++) { split(x[i], p, ":"); split(y[i], q, ":"); d = p[2] - q[2]; if (!(d < 1e-5 && d > -1e-5)) bad = 1 }
    exit bad }'
ok $? "eighteen optimisers step as on the CPU: $(result gpu.json | cut -c1-60)"
cat >texts.jsonl <<'EOF'
{"text":"the bus was late again and nobody said why","y":"bad"}
{"text":"what a lovely morning walk","y":"good"}
{"text":"lovely people and a warm room","y":"good"}
{"text":"late, cold and no answer","y":"bad"}
EOF
cat >texts.lua <<'EOF'
local m = require "hone.models"
local d = hone.data{ "texts.jsonl", text = "text", y = "y", tokens = "words", vocab = 60, len = 8 }
local net = m.bert{ input = d, vocab = 60, dim = 16, layers = 1, heads = 2, ffn = 32, positions = 8, classes = 2, dropout = 0.1 }
local run = hone.train{ model = net, data = d, steps = 3, batch = 4, accum = 2, optim = optim.adamw{ lr = 3e-3 }, precision = arg[1], force_precision = true }
hone.result{ loss = run:wait().loss }
EOF
for p in fp32 bf16; do
    "$hone" --json --runs r5 run texts.lua $p >cpu.json 2>err && "$hone" --json --runs r6 --device cuda run texts.lua $p >gpu.json 2>>err
    awk -v a="$(result cpu.json)" -v b="$(result gpu.json)" -v tol=$([ $p = fp32 ] && echo 1e-5 || echo 2e-2) 'BEGIN {
        split(a, x, ":"); split(b, y, ":"); d = x[2] - y[2]; exit !(x[2] > 0 && d < tol && d > -tol) }'
    ok $? "an encoder in $p, with dropout and sums over micro-batches, as on the CPU: $(result cpu.json) $(result gpu.json)"
done
# several devices, a rank each, joined by a fake NCCL (tests/cuda/nccl.cc)
sed 's/batch = 16/batch = tonumber(arg[2]), accum = tonumber(arg[3]), ema = 0.9/' train.lua >many.lua
HONE_FAKE_CUDA=count=2 HONE_NCCL=$top_builddir/tests/cuda/nccl.so
export HONE_FAKE_CUDA HONE_NCCL HONE_FAKE_NCCL
HONE_FAKE_NCCL=none
"$hone" --json --runs rn --device cuda run many.lua one.hone 8 2 >one.json 2>err && "$hone" --json --runs rn --device cuda --ranks 2 run many.lua two.hone 16 1 >two.json 2>>err
[ -n "$(result one.json)" ] && [ "$(result one.json)" = "$(result two.json)" ] && cmp -s one.hone two.hone
ok $? "two ranks on two devices: the bits of one that adds up two batches: $(result two.json) $(cat err)"
# a model with several buckets of gradients, whose sums run beside the backward pass: as early as the device may, and as late as it may. Of the 5 batches of an
# epoch a rank has one in a step, or two, or none; sums of two batches have one order, so they have the bits of one process
cat >wide.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y", val = 160 }
local net = nn.model{ input = d, nn.linear{512}, nn.tanh{}, nn.linear{512}, nn.tanh{}, nn.linear{512}, nn.tanh{}, nn.linear{2} }
local w = hone.train{ model = net, data = d, steps = 4, batch = 8, accum = tonumber(arg[2]), optim = optim.adamw{ lr = 1e-3 } }:wait()
net:save(arg[1])
hone.result{ loss = w.loss }
EOF
"$hone" --json --runs rn --device cuda run wide.lua one-w.hone 2 >one.json 2>err
"$hone" --json --runs rn --device cuda --ranks 2 run wide.lua four-w.hone 4 >four.json 2>>err
for order in early late; do
    HONE_FAKE_ORDER=$order "$hone" --json --runs rn --device cuda --ranks 2 run wide.lua two-w.hone 2 >two.json 2>>err
    [ -n "$(result one.json)" ] && [ "$(result one.json)" = "$(result two.json)" ] && cmp -s one-w.hone two-w.hone
    ok $? "gradients are summed beside the backward pass, as $order as may be, to the same bits: $(result two.json) $(cat err)"
    HONE_FAKE_ORDER=$order "$hone" --json --runs rn --device cuda --ranks 2 run wide.lua two-w.hone 4 >two.json 2>>err
    [ -n "$(result four.json)" ] && [ "$(result four.json)" = "$(result two.json)" ] && cmp -s four-w.hone two-w.hone
    ok $? "with two batches a rank: $(result two.json) $(cat err)"
    HONE_FAKE_ORDER=$order "$hone" --json --runs rn --device cuda run train.lua order.hone >order.json 2>err && cmp -s gpu.hone order.hone
    ok $? "nothing on one device hangs on when it begins ($order) $(cat err)"
done
HONE_FAKE_CUDA=count=1
is 1 '2 ranks from device cuda on want a GPU each: device cuda:1 is not there: this machine has 1' "more ranks than devices" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
HONE_FAKE_CUDA=count=2 HONE_NCCL=$work/none.so
is 1 'several GPUs need NCCL: .*none.so cannot be opened; install it, or leave ranks at 1' "no NCCL" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
HONE_NCCL=$top_builddir/tests/cuda/nvml.so
is 1 'several GPUs need NCCL: .*has no ncclGetUniqueId' "a library that is not NCCL" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
HONE_NCCL=$top_builddir/tests/cuda/nccl.so HONE_FAKE_NCCL=init
is 1 'the GPUs cannot be joined: NCCL says unhandled system error: made up by the fake' "devices that cannot be joined" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
HONE_FAKE_NCCL=reduce=3
is 1 'gradients cannot be summed over the GPUs: NCCL says internal error' "a sum that fails" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
HONE_FAKE_NCCL=late=3
is 1 'a sum over the GPUs failed: NCCL says internal error' "a sum that fails under way" --runs rn --device cuda --ranks 2 run many.lua x.hone 16 1
# a rank that is killed leaves the others with a sum that never ends: they give it up, and new ranks do the step again
HONE_FAKE_NCCL=none
if command -v pgrep >/dev/null; then
    "$hone" --json --runs rk --device cuda --ranks 2 run many.lua k.hone 16 1 </dev/null >k.json 2>err &
    run=$! times=0 hit=0
    while [ $times -lt 600 ] && [ $hit = 0 ] && kill -0 $run 2>/dev/null; do
        times=$((times + 1))
        if grep -q '"event":"metric"' k.json; then for p in $(pgrep -P $run); do kill -s KILL "$p" 2>/dev/null && hit=1; done; fi
        sleep 0.05
    done
    wait $run; rc=$?
    [ $rc = 0 ] && { [ $hit = 0 ] || grep -q 'is done again with new ranks' k.json; } && cmp -s one.hone k.hone
    ok $? "r.F7: a rank that is killed is replaced, its device joined again, the bits are the same (hit $hit)"
else skip "a rank on a device that is killed" "pgrep is missing"
fi
unset HONE_NCCL HONE_FAKE_NCCL
# wide rows, whose batches go up while the one before runs: micro-batches, an edit that drops what went ahead, mixup
awk 'BEGIN {
    for (c = 0; c < 300; c++) printf "c%d,", c
    print "y"
    for (r = 0; r < 150; r++) { for (c = 0; c < 300; c++) printf "%d,", (r * 37 + c * 11) % 23 - 11; print (r * 37 % 101 > 50) } }' >wide.csv
cat >ahead.lua <<'EOF'
local d = hone.data{ "wide.csv", y = "y", val = 30 }
local net = nn.model{ input = d, nn.linear{8}, nn.tanh{}, nn.linear{2} }
local run = hone.train{ model = net, data = d, epochs = 4, batch = 40, accum = tonumber(arg[1]), mixup = tonumber(arg[2]), optim = optim.adamw{ lr = 1e-3 },
    edits = { {4, "batch", 30} } }
hone.result{ loss = run:wait().loss }
EOF
for how in "1 0" "2 0" "1 0.3"; do
    "$hone" --json --runs ra run ahead.lua $how >cpu.json 2>err
    for order in none early late; do
        HONE_FAKE_ORDER=$([ $order = none ] || echo $order) HONE_CUDA_COUNTS=$work/ahead-$order \
            "$hone" --json --runs ra --device cuda run ahead.lua $how >gpu.json 2>>err
        result gpu.json >>"loss-$order"
    done
    awk -v a="$(result cpu.json)" -v b="$(result gpu.json)" 'BEGIN {
        split(a, x, ":"); split(b, y, ":"); d = x[2] - y[2]; exit !(x[2] > 0 && d < 1e-5 && d > -1e-5) }' &&
        [ "$(awk '{ print ($6 >= 10) }' ahead-late)" = 1 ]
    ok $? "batches go up while the one before runs, accum and mixup $how: as on the CPU: $(result cpu.json) $(result gpu.json) $(cat ahead-late) $(cat err)"
done
cmp -s loss-none loss-early && cmp -s loss-none loss-late; ok $? "to the same bits whenever the device copies: $(cat loss-none | tr '\n' ' ')"
cat >steps.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y" }
local net = nn.model{ input = d, nn.linear{8}, nn.relu{}, nn.linear{2} }
hone.train{ model = net, data = d, steps = tonumber(arg[1]), batch = 50, optim = optim.adamw{} }:wait()
EOF
for count in 4 24; do HONE_CUDA_COUNTS=$work/counts$count "$hone" --quiet --runs rc --device cuda run steps.lua $count >out 2>err || cat err; done
[ "$(cat counts4 counts24 | awk '{ a[NR] = $2; w[NR] = $4 } END { print a[2] - a[1], w[2] - w[1] <= 20 + 10 }')" = "0 1" ]
ok $? "a step allocates nothing and waits for the device once, a checkpoint twice: $(cat counts4 counts24 | tr '\n' ' ')"
HONE_FAKE_CUDA=memory=66; export HONE_FAKE_CUDA
cat >large.lua <<'EOF'
local d = hone.data{ "small.csv", y = "y" }
local net = nn.model{ input = d, nn.linear{4000}, nn.relu{}, nn.linear{2} }
hone.train{ model = net, data = d, steps = 2, batch = 160 }:wait()
EOF
is 1 'more than is there; a batch of [0-9]* instead of 160 fits' "out of memory names a batch that fits" --device cuda run large.lua
HONE_NVML=$top_builddir/tests/cuda/nvml.so
export HONE_NVML HONE_FAKE_NVML HONE_FAKE_XID_LOG
while IFS='|' read -r how sentence what; do
    HONE_FAKE_CUDA=$how=700 HONE_FAKE_NVML=none
    is 1 "$sentence" "$what ends the run with a sentence" --runs "r4$how" --device cuda run train.lua lost.hone </dev/null
    [ -n "$(ls "r4$how"/*/ckpt 2>/dev/null)" ]; ok $? "and its last checkpoint is there"
    grep -Eq 'steps [0-9]* to [0-9]* are lost, the checkpoint of step [1-9][0-9]* is there: resume = "small-1"' out err; ok $? "and named"
done <<'EOF'
lost|the device is lost.*last checkpoint|a lost device
ecc|memory is damaged.*ECC.*last checkpoint|damaged memory
bus|fallen off the bus.*[Xx]id.*last checkpoint|a device off the bus
EOF
# r.F8: the driver reports what the library's own error does not tell; a device that never answers again
while IFS='|' read -r how xid sentence what; do
    HONE_FAKE_CUDA=$how=700 HONE_FAKE_NVML=xid=$xid HONE_FAKE_XID_LOG=$work/xid$xid
    t0=$(date +%s)
    "$hone" --json --runs "r9$how" --device cuda run train.lua lost.hone </dev/null >lost.json 2>err
    rc=$?
    took=$(($(date +%s) - t0))
    [ $rc = 1 ] && grep -Eq "$sentence" err lost.json; ok $? "r.F8: $what is named"
    grep -q "\"event\":\"alert\".*Xid $xid" lost.json; ok $? "as an alert of the run too"
    [ $took -lt 15 ]; ok $? "without a hang: $took s"
    unset HONE_FAKE_CUDA
    sed "s/hone.train{/hone.train{ resume = \"small-1\",/" train.lua >again.lua
    HONE_FAKE_NVML=none
    "$hone" --json --runs "r9$how" --device cuda run again.lua again.hone >again.json 2>err </dev/null && cmp -s gpu.hone again.hone
    ok $? "and the run goes on from its checkpoint to the same bits as one that was never cut"
    export HONE_FAKE_CUDA=none
done <<'EOF'
bus|79|Xid 79: the device has fallen off the bus.*checkpoint of step|Xid 79
lost|31|Xid 31: a kernel touched memory.*checkpoint of step|Xid 31
hang|119|does not answer any more.*Xid 119: the device.s own processor.*checkpoint of step|a device that hangs
EOF
unset HONE_FAKE_CUDA HONE_NVML HONE_FAKE_NVML HONE_FAKE_XID_LOG
finish
