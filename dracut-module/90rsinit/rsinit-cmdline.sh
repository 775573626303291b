#!/bin/sh
# Sourced by dracut in the cmdline hook: where the kernel arguments give the
# root to rsinit, dracut need not look for one.
if rsinit claims-root; then
    root=rsinit
    rootok=1
fi
