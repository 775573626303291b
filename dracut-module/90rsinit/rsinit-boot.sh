#!/bin/sh
# Sourced by dracut in the pre-mount hook: the whole boot is the binary's. It
# comes back with an error only where the operator asked for a shell.
if rsinit claims-root; then
    rsinit boot || die "rsinit could not boot this node; its last line above says why"
fi
