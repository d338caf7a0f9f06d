#!/bin/sh
# The report page in a browser without a window: no script or console complaint, points in every chart, nothing beyond its edges. The page itself has no script:
# one that measures is put behind a copy of it and leaves what it found in the title. Without a Chromium that starts: skipped.
. "$top_srcdir/tests/cli/lib.sh"
browser=
for b in chromium chromium-browser google-chrome chrome; do
    [ -z "$browser" ] && command -v $b >/dev/null && browser=$b
done
# title FILE WIDTH: of the page when it is drawn; what the console says is in the file console
title() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --window-size="$2",800 --enable-logging=stderr \
        --dump-dom "file://$work/$1" 2>messages | sed -n 's/.*<title>\([^<]*\)<.*/\1/p' | head -n 1
    grep CONSOLE messages >console
}
echo '<!DOCTYPE html><title>no</title><script>document.title = "drawn"</script>' >empty.html
if [ -z "$browser" ] || [ "$(title empty.html 800)" != drawn ]; then
    skip "the report page in a browser" "no Chromium here that starts"
    finish
fi
cat >t.lua <<'L'
local data = hone.data{ "german-credit", val = 200 }
local net = nn.model{ input = data, nn.linear{32}, nn.relu{}, nn.linear{2} }
local run = hone.train{ model = net, data = data, epochs = 4, batch = 32, optim = optim.adam{ lr = 1e-2 }, name = "page" }
run:on("epoch", function() run:set("lr", run:get("lr") / 2) end)
run:wait()
hone.eval{ model = net, data = data.val }
L
"$hone" run --plain --quiet --seed 3 t.lua >out 2>err </dev/null
ok $? "a run with edits and an evaluation"
is 0 'report.html$' "its report" report page-1
cat >probe <<'H'
<script>
addEventListener("load", function () {
    var said = [], wide = document.documentElement.clientWidth, charts = document.querySelectorAll("svg");
    function scrolls(e) { return e && (getComputedStyle(e).overflowX != "visible" || scrolls(e.parentElement)); }
    charts.forEach(function (svg) {
        var name = svg.getAttribute("aria-label"), box = svg.viewBox.baseVal, points = 0;
        svg.querySelectorAll("polyline.line").forEach(function (l) { points += l.points.numberOfItems; });
        if (!points || svg.getBoundingClientRect().height < 20) said.push("nothing drawn: " + name);
        svg.querySelectorAll("polyline,polygon,circle,text").forEach(function (e) {
            var b = e.getBBox();
            if (b.x < -0.5 || b.y < -0.5 || b.x + b.width > box.width + 0.5 || b.y + b.height > box.height + 0.5) said.push("outside of " + name + ": " + e.tagName);
        });
    });
    document.querySelectorAll("body *").forEach(function (e) {
        var r = e.getBoundingClientRect();
        if (!e.closest("svg") && r.width && r.right > wide + 1 && !scrolls(e.parentElement)) said.push("too wide: " + e.tagName);
    });
    document.title = charts.length + " charts, " + said.length + " complaints " + said.slice(0, 3).join("; ");
});
</script>
H
cat runs/page-1/report.html probe >page.html
for width in 1280 600; do
    said=$(title page.html $width)
    charts=${said%% *}
    case $said in *" charts, 0 complaints "*) [ "$charts" -ge 5 ] && [ ! -s console ] ;; *) false ;; esac
    ok $? "at $width points: $said"
done
# and what it is there to find, it finds
{ sed 's/class="line c0" points="[^"]*"/class="line c0" points=""/; s/class="line c1" points="[^"]*"/class="line c1" points=""/' runs/page-1/report.html; cat probe; } >bare.html
case $(title bare.html 1280) in *"nothing drawn"*) true ;; *) false ;; esac
ok $? "a chart without points is noticed"
{ cat runs/page-1/report.html probe; echo '<p style="width:3000px">wide</p><script>nosuch()</script>'; } >broken.html
said=$(title broken.html 1280)
case $said in *"too wide: P"*) [ -s console ] ;; *) false ;; esac
ok $? "so are a line that is too wide and an error of a script"
finish
