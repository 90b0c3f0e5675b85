#!/bin/sh
# Makes every WAV of manifest.toml anew, in this folder. Needs espeak-ng, sox and Python >= 3.11.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python3 - <<'PYTHON' >"$scratch/list"
import tomllib
for one in tomllib.load(open("manifest.toml", "rb"))["recording"]:
    print(one["name"], one["kind"], one["text"], sep="\t")
PYTHON

tab=$(printf '\t')
while IFS="$tab" read -r name kind text; do
    # 145 words a minute instead of 175: clear on a small speaker. The female variant is lifted a little (50 is neutral).
    if [ "$kind" = question ]; then voice=ml pitch=45; else voice=ml+f2 pitch=55; fi
    espeak-ng -v "$voice" -s 145 -p "$pitch" -g 1 -w "$scratch/raw.wav" -- "$text"
    # Trim both ends at -46 dB, 5 ms fades so that nothing clicks, peak at -6 dB, a fixed seed of dither: the same bytes each time.
    sox -R "$scratch/raw.wav" -r 24000 -c 1 -b 16 "$name.wav" rate -v 24000 highpass 60 \
        reverse silence 1 0.005 0.5% fade t 0.005 reverse silence 1 0.005 0.5% fade t 0.005 norm -6
done <"$scratch/list"
