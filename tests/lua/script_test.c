/* The script thread against a table of fake commands: bindings, constructors, printing, errors, events, what is refused. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/call/settings.h"
#include "tests/tap.h"
#include "tests/lua/fake.h"

static struct fake f;

static void is(const char *code, const char *want) {
    const char *got = fake_eval(&f, code);
    if (!tap_ok(strcmp(got, want) == 0, "%.100s", code)) printf("# got:  %s\n# want: %s\n", got, want);
}
static void has(const char *code, const char *part) {
    const char *got = fake_eval(&f, code);
    if (!tap_ok(strstr(got, part) != NULL, "%.100s", code)) printf("# got:      %s\n# must hold: %s\n", got, part);
}

static void values(void) {
    is("('aZ1\\0b'):upper() == 'AZ1\\0B' and ('aZ1'):lower() == 'az1' and ('abc\\0d'):reverse() == 'd\\0cba' and (''):reverse() == ''", "true");
    has("local a = ('x'):rep(1 << 23) return #('%s%s%s'):format(a, a, a)", "string.format would make more than 16 MiB");
    has("local a = ('x'):rep(1 << 23) return #string.pack('s8s8s8', a, a, a)", "string.pack would make more than 16 MiB");
    is("('%s-%5.2s-%d'):format('a', 'bcd', 3)", "a-   bc-3");
    is("local s = ('\\u{e9}x'):rep(100000) return utf8.len(s) == 200000 and utf8.len(s, 3) == 199999 and utf8.len(s, -1) == 1 and utf8.len('') == 0", "true");
    is("local s = ('\\u{20ac}'):rep(50000) .. '\\x80' local n, at = utf8.len(s) return n == nil and at == 150001", "true");
    is("local s = ('x'):rep(65536) .. '\\x80y' local n, at = utf8.len(s) return n == nil and at == 65537", "true");
    is("pcall(utf8.len, 'abc', 5) == false and pcall(utf8.len, 'abc', 1, 4) == false", "true");
    is("tonumber('zZ', 36) == 1295 and tonumber(' -ff ', 16) == -255 and tonumber('8', 8) == nil and tonumber('', 10) == nil and tonumber('7 7', 8) == nil",
        "true");
    is("tonumber('0x10') == 16 and tonumber('1e1') == 10.0 and tonumber('ffffffffffffffff', 16) == -1 and tonumber('1' .. '\\0', 10) == nil", "true");
    is("pcall(tonumber, '1', 37) == false and pcall(tonumber, 1, 10) == false and pcall(tonumber) == false", "true");
    has("local a = ('x'):rep(1 << 24) return #(a .. ('y'):rep(100))", "a string may have 16 MiB");
    has("local a = ('x'):rep(1 << 23) return #table.concat({a, a, a})", "table.concat would make more than 16 MiB");
    has("local a = ('x'):rep(1 << 23) return #a:gsub('x', 'yyy')", "string.gsub would make more than 16 MiB");
    is("#(('x'):rep(1 << 24))", "16777216");
    is("local a = ('x'):rep(1 << 23) return #table.concat({a, a})", "16777216");
    is("local t = {} for i = 1, 1e5 do t[i] = {} end t = nil collectgarbage() return collectgarbage('count') < 20000", "true");
    is("1 + 1", "2");
    is("1 + 1;", "");
    is("_", "2");
    is("0.1 + 0.2", "0.30000000000000004");
    is("1e100, 3.0, 1/0", "1e+100\n3.0\ninf");
    is("x = 5", "");
    is("x", "5");
    is("{1, 2, a = 'b\\n'}", "{1, 2, a = \"b\\n\"}");
    is("'text'", "text");
    is("t = {}; t.t = t; return t", "{t = <the table itself>}");
    is("nil", "nil");
    is("(function() end)()", "");
    has("t = {}; for i = 1, 1e6 do t[i] = i end return t", "more}");
    tap_ok(strlen(f.text) < 80 * 20, "t.L6: a million entries fit a screen: %zu bytes", strlen(f.text));
    has("big = {} for i = 1, 1e6 do big['k' .. i] = i end return #'x'", "1");
    fake_eval(&f, "big");
    tap_ok(f.seconds < 5 && strlen(f.text) < 1600, "t.L6: a million names: %zu bytes, %.0f ms", strlen(f.text), f.seconds * 1000);
    fake_eval(&f, "big = nil t = nil collectgarbage()");
    is("setmetatable({}, {__tostring = function() error('no') end})", "<__tostring failed>");
    has("setmetatable({}, {__tostring = function() while true do end end})", "took too long");
    tap_ok(f.seconds < 5, "t.L6: a __tostring that loops costs %.0f ms", f.seconds * 1000);
    is("print(1, 0.1, 'a')", "");
    tap_is(f.out.data, "1\t0.1\ta\n", "print goes into the replies");
    is("for i = 1, 3 do print(i) end", "");
    tap_is(f.out.data, "1\n2\n3\n", "three lines of print");
}

static void commands(void) {
    is("hone.echo{5}", "5");
    is("hone.echo(5)", "5");
    is("hone.echo{value = {1, 2, x = {true}}}", "{1, 2, x = {true}}");
    is("hone.now{'here'}", "here");
    is("select('#', hone.echo())", "1");
    is("pcall(hone.echo, {1, nil, 3})", "false\necho has a hole: item 2 is nil, but item 3 is not");
    has("hone.echo{print}", "contains a function, which hone cannot take");
    has("t = {} t[1] = t hone.echo(t)", "does it contain itself?");
    has("hone.ekho{1}", "did you mean hone.echo?");
    has("hone.train{stps = 3}", "did you mean 'steps'?");
    has("hone.train{steps = -3}", "-3");
    has("hone.train{lr = 'x'}", "lr");
    is("hone.outcome{acc = 0.5, f1 = 0.25}", "{acc = 0.5, f1 = 0.25}");
    is("d = hone.data{'x'}", "");
    is("d", "data#7");
    is("d.train, #d.train, d.train[2].label", "data#7.train\n3\n2");
    is("(function() local n = 0 for i, x in ipairs(d.train) do n = n + x.label end return n end)()", "6");
    has("d.nothing", "has no field nothing");
    has("d.x = 1", "use h:set");
    is("d == hone.data{'x'}", "true");
    has("hone.help{'train'}", "train");
    has("?train", "train");
    has("?nn.linear", "linear");
    has("hone.eval{steps = 1}", "0.875");
    has("hone.prop.refresh", "");
    is("hone.prop.refresh = 5", "");
    is("hone.prop.refresh", "5.0");
}

static void constructors(void) {
    is("nn.linear{10}.out, nn.linear{10}.layer, nn.linear(3).out", "10\nlinear\n3");
    has("nn.linear{10}", "layer=\"linear\"");
    has("nn.linaer{10}", "nn has no linaer: did you mean nn.linear?");
    has("nn.linear{}", "nn.linear");
    has("nn.linear{10, bais = false}", "did you mean 'bias'?");
    is("nn.linear{10, name = 'head'}.name", "head");
    is("nn.residual{nn.linear{3}, nn.relu{}}.layers[1].out", "3");
    is("hone.echo{{nn.linear{10}, nn.relu{}}}[2].layer", "relu");
    is("optim.adam{lr = 1e-2}.lr", "0.01");
    has("optim.adam{lr = 11}", "lr");
    is("nn.residual{nn.linear{3}}.layers[1].layer", "linear");
}

static void runs(void) {
    is("seen = {} r = hone.train{steps = 40}", "");
    is("for i = 1, 500 do if tostring(r) == 'run fake-1' then break end hone.echo{} end", ""); /* its job has begun */
    is("r:on('epoch', function(e) seen[#seen + 1] = e.val_acc end)", "run fake-1");
    has("r:wait()", "done");
    is("hone.now{1}; for i = 1, 100 do if #seen == 4 then break end hone.echo{} end", "");
    is("#seen, seen[4]", "4\n0.54");
    has("#hone.jobs{}", "");
    is("r2 = hone.train{steps = 20} n = 0 r2:on('epoch', function() n = n + 1 error('boom') end)", "");
    has("r2:wait()", "done");
    is("for i = 1, 50 do if n == 2 then break end hone.echo{} end return n", "2");
    is("r3 = hone.train{steps = 20} ok = 0 r3:on('*', function(e) r3:note('x') ok = ok + 1 end)", "");
    has("r3:wait()", "done");
    is("#r3:series('loss') > 0", "true");
    fake_eval(&f, "long = hone.train{steps = 100000}");
    struct err e = {0};
    const char *code = "long:wait()";
    f.script.eval(f.script.ctx, code, strlen(code), "prompt", &f.reply, NULL, &e);
    clock_sleep(0.1);
    double t = clock_now();
    f.script.interrupt(f.script.ctx);
    fake_wait(&f, 5);
    tap_ok(f.status == -1 && strcmp(f.text, "interrupted") == 0 && clock_now() - t < 0.1, "a blocking wait is interrupted after %.0f ms: %s",
        (clock_now() - t) * 1000, f.text);
    is("hone.echo{'still there'}", "still there");
    fake_eval(&f, "long:stop{now = true}");
    has("pcall(long.wait, long)", "");
    code = "hone.eval{steps = 100000}";
    f.script.eval(f.script.ctx, code, strlen(code), "prompt", &f.reply, NULL, &e);
    clock_sleep(0.1);
    f.script.interrupt(f.script.ctx);
    fake_wait(&f, 5);
    has("hone.eval{steps = 1}.acc", "0.875"); /* the abandoned one was stopped, or this would wait 100 s */
    tap_ok(f.seconds < 2, "an interrupted evaluation stops its job: the next took %.0f ms", f.seconds * 1000);
}

static void errors(void) {
    is("error('plain')", "plain");
    has("error({})", "an error object: {}");
    is("error(setmetatable({}, {__tostring = function() return 'nice' end}))", "nice");
    has("error(setmetatable({}, {__tostring = function() while true do end end}))", "__tostring took too long");
    has("function a() b() end function b() c() end function c() d1() end function d1() e1() end function e1() error('deep') end a()", "deep");
    int lines = 0;
    for (const char *p = f.text; (p = strchr(p, '\n')); p++) lines++;
    tap_ok(lines <= 4 && lines >= 2, "a traceback of %d lines", lines);
    has("prnit('x')", "did you mean print?");
    has("1 +* 2", "  1 +* 2\n     ^");
    has("x = = 2", "    ^");
    has("for i = 1, 3 do\nprint(i))\nend", "line 2");
    has("'\xc3\xa4\xc3\xa4' +* 2", "\n        ^"); /* the caret counts columns, not bytes */
    fake_eval(&f, "for i = 1, 3 do");
    tap_ok(f.incomplete, "an open loop asks for more");
    fake_eval(&f, "{1, 2,");
    tap_ok(f.incomplete, "an open table asks for more");
    fake_eval(&f, "s = [[x");
    tap_ok(f.incomplete, "an open long string asks for more");
    fake_eval(&f, "x = 'abc");
    tap_ok(!f.incomplete && f.status, "an unfinished string is an error: %s", f.text);
    fake_eval(&f, "end end");
    tap_ok(!f.incomplete && f.status, "a spare end is an error");
    is("", "");
    is("   ", "");
}

static void refused(void) {
    has("load('\\27Lua')", "bytecode");
    has("os.exit()", "not available");
    has("io.popen('ls')", "not available");
    has("os.execute('ls')", "not available");
    has("setmetatable({}, {__gc = function() end})", "finalizers");
    has("debug.sethook()", "not available");
    is("string.dump == nil, package.loadlib == nil, package.cpath", "false\ntrue\n");
    has("string.dump(print)", "not available");
    is("debug.getregistry, debug.setmetatable, debug.getupvalue", "nil\nnil\nnil");
    is("getmetatable(io.stdout)", "false");
    has("('x'):rep(1 << 40)", "16 MiB");
    is("('') : rep(1 << 62)", "");
    has("local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end", "not enough memory: scripts may use 64 MiB");
    is("collectgarbage() return 'alive'", "alive");
    /* mutated bytecode: 10,000 blobs, through load and loadfile's reader */
    has("seed = 1 function rnd(n) seed = (seed * 1103515245 + 12345) & 0x7fffffff return seed % n end", "");
    is("bad = 0 for i = 1, 10000 do local b = {'\\27Lua\\x54\\0\\x19\\x93\\r\\n\\x1a\\n'} for k = 1, rnd(40) do b[#b + 1] = string.char(rnd(256)) end "
       "local s = table.concat(b) local at = 2 + rnd(#s - 2) s = s:sub(1, at) .. string.char(rnd(256)) .. s:sub(at + 2) if load(s) then bad = bad + 1 end end "
       "return bad",
        "0");
}

static void library(void) {
    is("('hello world'):find('o w'), ('hello'):find('l+')", "5\n3\n4");
    is("('key = value'):match('^(%w+)%s*=%s*(%w+)$')", "key\nvalue");
    is("('abc'):gsub('%w', '%0%0')", "aabbcc\n3");
    is("('hello world'):gsub('o', {o = '0'})", "hell0 w0rld\n2");
    is("('THE (quick) fox'):find('%((%a+)%)')", "5\n11\nquick");
    is("('f(a(b)c)d'):match('%b()')", "(a(b)c)");
    is("('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)", "the (quick) fox\n3");
    is("('abc'):gsub('', '-')", "-a-b-c-\n4");
    is("(function() local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return table.concat(t, '+') end)()", "a1+b2");
    is("('x'):rep(3, ','), ('ab'):rep(1, ','), ('ab'):rep(0)", "x,x,x\nab\n");
    is("('abc'):find('b', 1, true), ('a.b'):find('.', 1, true), ('abc'):find('')", "2\n2\n1\n0");
    is("('aXb'):match('()X()')", "2\n3");
    is("('abcabc'):match('(abc)%1')", "abc");
    has("('x'):match('(')", "unfinished capture");
    has("('x'):match('%')", "malformed pattern");
    has("('x'):match('[a')", "malformed pattern");
    is("('\\0a\\0'):find('%z'), ('a]b'):match('[]]'), ('a-b'):match('[a%-]+')", "nil\n]\na-");
    is("table.concat({1, 2, 3}, '-'), table.concat({}, 'x'), select('#', table.unpack({1, nil, 3}, 1, 3))", "1-2-3\n\n3");
    is("(function() local t = {} for i = 1, 1000 do t[i] = (i * 7919) % 1009 end table.sort(t) for i = 2, #t do if t[i - 1] > t[i] then return 'bad' end end "
       "return 'sorted' end)()",
        "sorted");
    is("(function() local t = {'b', 'c', 'a'} table.sort(t, function(x, y) return x > y end) return table.concat(t) end)()", "cba");
    is("(function() local t = {1, 2, 3} table.insert(t, 1, 0) table.insert(t, 9) return table.concat(t, ','), table.remove(t), table.remove(t, 1), #t end)()",
        "0,1,2,3,9\n9\n0\n3");
    is("table.concat(table.move({1, 2, 3}, 1, 3, 2), ',')", "1,1,2,3");
    is("select(2, xpcall(error, function(m) return 'handled ' .. m end, 'x'))", "handled x");
    is("coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)(1)", "2");
}

static void scripts(void) {
    char path[] = "/tmp/hone-script-XXXXXX";
    int fd = mkstemp(path);
    FILE *o = fdopen(fd, "w");
    struct queue q;
    struct err e = {0};
    fputs("#!/usr/bin/env hone\nlocal a = ...\nassert(arg[1] == 'one' and a == 'one')\nr = hone.train{steps = 50}\nmark = arg[1]\n", o);
    fclose(o);
    queue_init(&q, 8);
    const char *argv[] = {"one"};
    int rc = script_run_file(f.hub, path, NULL, 1, argv, &q, NULL, &e);
    struct call *c = rc == 0 ? queue_get(&q, 5000) : NULL;
    tap_ok(c && c->status == 0, "a script runs%s%s", c && c->status ? ": " : "", c ? c->err.text : e.text);
    if (c) call_free(c);
    has("hone.jobs{}", "done");
    is("mark, r:wait().state", "one\ndone");
    o = fopen(path, "w");
    fputs("local function f() error('broken ' .. arg[0]:sub(1, 4)) end\nf()\n", o);
    fclose(o);
    rc = script_run_file(f.hub, path, NULL, 0, NULL, &q, NULL, &e);
    c = rc == 0 ? queue_get(&q, 5000) : NULL;
    tap_ok(c && c->status == -1 && strstr(c->err.text, ":1: broken /tmp\n  ") && c->err.code == ERR_FAIL, "its error is a sentence and a traceback");
    if (c) call_free(c);
    o = fopen(path, "w");
    fputs("while true do end\n", o);
    fclose(o);
    rc = script_run_file(f.hub, path, NULL, 0, NULL, &q, NULL, &e);
    clock_sleep(0.3);
    f.script.interrupt(f.script.ctx);
    c = rc == 0 ? queue_get(&q, 5000) : NULL;
    tap_ok(c && c->status == -1 && c->err.code == ERR_STOPPED, "a script is interrupted when no prompt evaluates");
    if (c) call_free(c);
    rc = script_run_file(f.hub, "/nonexistent/x.lua", NULL, 0, NULL, &q, NULL, &e);
    c = rc == 0 ? queue_get(&q, 5000) : NULL;
    tap_ok(c && c->status == -1 && strstr(c->err.text, "No such file"), "a script that is not there: %s", c ? c->err.text : "");
    if (c) call_free(c);
    queue_release(&q);
    unlink(path);
}

static void completion(void) {
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"hone.ec", "echo"},
        {"nn.li", "linear"},
        {"pri", "print"},
        {"string.gs", "gsub"},
        {"hone.train{st", "steps = "},
        {"nn.linear{b", "bias = "},
        {"r:no", "note"},
        {"run:set(\"l", "lr"},
        {"whi", "while"},
        {"hone.prop.re", "refresh"},
        {"deep.tab", "table_in"},
        {"hone.train{ freeze = \"bo", "body.linear1"},
    };
    fake_eval(&f, "deep = {table_in = 1}");
    for (size_t i = 0; i < LEN(cases); i++) {
        double t = clock_now();
        struct val *v = f.script.complete(f.script.ctx, cases[i].line, strlen(cases[i].line));
        bool found = false;
        for (size_t k = 0; k < val_len(v); k++) found |= strcmp(val_at(v, k)->u.s.p, cases[i].want) == 0;
        tap_ok(found && clock_now() - t < 1, "completion of %s", cases[i].line);
        val_free(v);
    }
}

int main(void) {
    script_memory((size_t)64 << 20);
    char libs[4096];
    snprintf(libs, sizeof libs, "%s/scripts/lib", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    if (fake_open(&f, libs) != 0) return 1;
    script_stop(&f.script); /* once more, with room for the big tables */
    script_memory((size_t)256 << 20);
    struct err e = {0};
    script_start(f.hub, fake_catalogs, libs, &f.script, &e);
    values();
    script_stop(&f.script);
    script_memory((size_t)64 << 20);
    tap_ok(script_start(f.hub, fake_catalogs, libs, &f.script, &e) == 0, "the script thread starts again");
    commands();
    constructors();
    runs();
    errors();
    refused();
    library();
    scripts();
    completion();
    fake_close(&f);
    return tap_done();
}
