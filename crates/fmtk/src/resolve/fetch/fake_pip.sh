#!/bin/sh
# Stands for `python3 -c pip.py` in the tests: every requirement NAME==VERSION becomes a file named as its wheel. The
# version of one that has none is what a constraint says, else 9. An index that is named makes another wheel of it, and
# one that has not the hash that is asked for does not come. Without arguments it stands for `pip_settings.py`.
# What has its source alone is built by `pip wheel`, which brings what the test put beside the folder.
if [ $# -eq 2 ]; then
    echo '{"index_url": "http://me:secret@main/", "extra_index_urls": [], "no_index": false, "find_links": ["/gone"],'
    echo '"trusted_hosts": [], "proxy": "", "cert": null, "client_cert": null}'
    exit 0
fi
while [ $# -gt 0 ]; do
    case $1 in
    --no-binary=*) source=1 ;;
    --wheel-dir) mkdir "$2" && cp "${2%/pypi/*}"/built/*.whl "$2"; exit ;;
    --find-links) own=$2 ;;
    --requirement) requirements=$2 ;;
    --constraint) constraints=$2 ;;
    --log) log=$2 ;;
    --dest) wheels=$2 ;;
    esac
    shift
done
if [ -n "$source" ]; then
    if grep -q faulty-build "$requirements"; then
        echo 'error: metadata-generation-failed' >&2
        exit 1
    fi
    echo sdist >"$wheels/source-alone-1.tar.gz"
    exit
fi
index=$(sed -n 's/^--index-url //p' "$constraints")
while IFS= read -r line; do
    hash=${line#* --hash=sha256:}
    case $line in
    *' --hash='*) line=${line%% *} ;;
    *) line=${line%% *} hash= ;;
    esac
    case $line in
    no-pip*) exit 97 ;;
    broken*) echo 'no matching distribution' >&2; exit 1 ;;
    source-alone* | faulty-build*)
        if cp "$own"/source_alone-*.whl "$wheels" 2>/dev/null; then
            continue
        fi
        {
            echo "1 location(s) to search for versions of ${line%%==*}:"
            echo "Skipping link: No sources permitted for ${line%%==*}: https://x/${line%%==*}-1.0.tar.gz"
        } >"$log"
        exit 1
        ;;
    *==*) ;;
    *)
        pin=$(grep "^$line==" "$constraints")
        line=${pin:-$line==9}
        ;;
    esac
    name=${line%%==*}
    wheel=$wheels/$(printf '%s' "$name" | tr - _)-${line##*==}-py3-none-any.whl
    printf '%s\n' "$line$index" >"$wheel"
    found=$(sha256sum "$wheel")
    case $hash in
    '' | "${found%% *}") ;;
    *) rm "$wheel"; echo "THESE PACKAGES DO NOT MATCH THE HASHES: $line" >&2; exit 1 ;;
    esac
done <"$requirements"
