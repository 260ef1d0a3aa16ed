path= install= all=
for option; do
    case $option in
    --quiet) ;;
    --install) install=yes ;;
    --install-path=/*) path=${option#*=} ;;
    --install-for-all) all=yes ;;
    *) fail "unknown option $option" ;;
    esac
done
[ -n "$install" ] && [ -n "$path" ] && [ -n "$all" ] || fail 'it was to be --install --install-path=… --install-for-all'
