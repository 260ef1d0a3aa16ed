#!/bin/sh
# docker of 18.09 without experimental features, in front of a newer one: the flags are those of its command line
# reference, of the subcommands that the project calls.
set -eu
refuse() {
    echo "$1" >>'@FOLDER@/refused'
    echo "$1" >&2
    exit 125
}

subcommand=${1-}
case $subcommand in
--version) echo 'Docker version 18.09.9, build 039a7df9ba'; exit 0 ;;
version)
    case "$*" in
    'version --format {{.Server.Version}}') echo 18.09.9; exit 0 ;;
    'version --format {{.Server.APIVersion}}') echo 1.39; exit 0 ;;
    esac
    ;;
esac

# Flags that take a value, and those that take none.
case $subcommand in
create | run)
    values=' --name --label --network --user --workdir --hostname --entrypoint --env --security-opt --mount --volume --ulimit '
    plain=' --rm --init --interactive --tty '
    ;;
load) values=' --input ' plain=' --quiet ' ;;
image)
    [ "${2-}" = inspect ] || refuse "docker: image ${2-} is not used by the project"
    values=' --format ' plain=' '
    ;;
start) values=' ' plain=' --attach ' ;;
export) values=' --output ' plain=' ' ;;
ps) values=' --filter --format ' plain=' --all --quiet ' ;;
rm) values=' ' plain=' --force --volumes ' ;;
kill) values=' --signal ' plain=' ' ;;
rmi) values=' ' plain=' --force ' ;;
version | info) values=' --format ' plain=' ' ;;
*) refuse "docker: '$subcommand' is not a docker command." ;;
esac

skip=1
[ "$subcommand" != image ] || skip=2
for word; do
    if [ "$skip" -gt 0 ]; then skip=$((skip - 1)); continue; fi
    case $word in
    --platform | --platform=*)
        refuse '"--platform" is only supported on a Docker daemon with experimental features enabled'
        ;;
    --*)
        case $values$plain in
        *" ${word%%=*} "*) ;;
        *) refuse "unknown flag: $word" ;;
        esac
        case $values in
        *" $word "*) skip=1 ;;
        esac
        ;;
    -*) refuse "unknown shorthand flag: $word" ;;
    # The image, container or file; what follows is the container's own.
    *) break ;;
    esac
done
echo "$subcommand" >>'@FOLDER@/calls'
DOCKER_API_VERSION=1.39 exec '@REAL@' "$@"
