#!/bin/sh
# Sourced by dracut in the pre-mount hook: the whole boot is the binary's. It
# comes back with an error only where the operator asked for a shell. dracut's
# `die` would halt the node there, unless rd.shell is given too. Who leaves the
# shell has mended something: the boot is tried again, after a pause, lest a
# node without a keyboard try without one. One that was killed (128 and more)
# could not do what the operator wants: the next call does it, and cleans up.
if rsinit claims-root; then
    until rsinit boot || { [ $? -gt 128 ] && rsinit boot; }; do
        emergency_shell "rsinit could not boot this node: a line above says why. To try again, leave this shell (exit)."
        sleep 5
    done
fi
