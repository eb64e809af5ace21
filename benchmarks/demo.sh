#!/bin/bash
# From nothing to a verified parallel job: demo.sh FOLDER
set -euo pipefail
folder=$1
reads=${READS:-1000000}
mkdir -p "$folder"
cd "$folder"

step() {
    printf '\n# %s\n$ %s\n' "$1" "$2"
    local start=$EPOCHREALTIME
    bash -o pipefail -c "$2"
    awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN {printf "(%.1f s)\n", to - from}'
}

if [[ ! -e reads-$reads.fastq.gz ]]; then
    echo "# Making $reads reads, compressed by gzip -6: the part that takes longest"
    (cd .. && python -m benchmarks.generate - --records "$reads") | gzip -6 >part.gz
    mv part.gz "reads-$reads.fastq.gz"
fi
ln -sf "reads-$reads.fastq.gz" reads.fastq.gz
rm -rf reads.fastq.gz.cbi reads.plan parts counted
lines=$((4 * reads))

step "Pass over it once: where can it be cut?" "cbtool index reads.fastq.gz"
step "What is it?" "cbtool info reads.fastq.gz"
step "Cut it into 16 chunks. Nothing is copied." "cbtool partition reads.fastq.gz -n 16 -o reads.plan"
step "Look at the plan." "cbtool show reads.plan"
step "Count the lines of all chunks in parallel, and add up." \
    "cbtool run reads.plan --reduce \"awk '{s+=\\\$1} END {print s}'\" -- wc -l | tee counted"
step "Prove that the chunks together are the file: every read once, in order." "cbtool verify reads.plan"

if [[ $(cat counted) != "$lines" ]]; then
    echo "wrong: $(cat counted) lines were counted, and there are $lines" >&2
    exit 1
fi
echo
echo "$(du -hL reads.fastq.gz | cut -f1) of FASTQ.gz: 16 chunks, $lines lines counted, $reads reads verified, in $SECONDS s."
echo "The files are in $folder/."
