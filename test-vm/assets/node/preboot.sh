#!/bin/sh
# The preboot hook of a site without Ansible: what munge needs, and nothing else.
set -e
install -o munge -g munge -m 0400 "$RSINIT_SECRETS/munge.key" /etc/munge/munge.key
echo "the munge key is in its place"
