
# `cargo xtask …` is completed as `cargo_xtask …`, the rest of cargo as before: by `_cargo`, where there is one.
_cargo_xtask_hook() {
    local at=1
    while [[ ${COMP_WORDS[at]} == [+-]* ]]; do at=$((at + 1)); done
    if ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == xtask ]]; then
        local words=(cargo_xtask "${COMP_WORDS[@]:at+1}")
        local COMP_WORDS=("${words[@]}") COMP_CWORD=$((COMP_CWORD - at))
        _cargo_xtask cargo_xtask "$2" "$3"
    elif declare -F _cargo >/dev/null; then
        _cargo "$@"
        return
    fi
    # Names of files where nothing else is known.
    compopt -o bashdefault -o default
}
# bash-completion loads what it has for cargo with the first Tab, unless cargo has a completion by then.
declare -F _cargo >/dev/null || _comp_load cargo 2>/dev/null || _completion_loader cargo 2>/dev/null || true
complete -F _cargo_xtask_hook cargo
