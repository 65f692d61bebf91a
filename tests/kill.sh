#!/usr/bin/env bash
# Kills the program at random moments of short runs and resumes it; every run must end in the same bytes.
# usage: tests/kill.sh [KILLS]      default: 1000, about ten minutes
set -euo pipefail
cd "$(dirname "$0")/.."
LOCALGRAD_KILLS=${1:-1000} cargo test --locked --release --package localgrad-cli --test kills -- --nocapture
