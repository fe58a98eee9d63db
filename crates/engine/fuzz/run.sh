#!/bin/sh
# Fuzzes one target for so many seconds, from the seeds on, in bounded memory: ./run.sh snapshots 600
# What cargo-fuzz does, for machines that have a nightly compiler and no cargo-fuzz.
set -eu
cd "$(dirname "$0")"
target=$1
seconds=$2
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
    cargo +nightly build --release --target "$host" --bin "$target"
mkdir -p "target/corpus/$target"
# -malloc_limit_mb: one allocation of 256 MiB or more is a crash, as is a process of 512 MiB.
exec "target/$host/release/$target" "target/corpus/$target" "seeds/$target" \
    -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=512 -malloc_limit_mb=256 -timeout=10 \
    -artifact_prefix="target/" -print_final_stats=1
