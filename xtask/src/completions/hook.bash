
# `cargo xtask …` is completed as `cargo_xtask …`, the rest of cargo as before: by `_cargo`, where there is one.
_cargo_xtask_hook() {
    local at=1 word words=(cargo_xtask)
    while [[ ${COMP_WORDS[at]} == [+-]* ]]; do at=$((at + 1)); done
    if ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == xtask ]]; then
        # Names of files where nothing else is known.
        compopt -o bashdefault -o default
        for word in "${COMP_WORDS[@]:at+1:COMP_CWORD-at-1}"; do
            # What follows is a command of its own.
            [[ $word != -- ]] || return
            # `--flag=value` is three words to bash.
            [[ $word == = ]] || words+=("$word")
        done
        local COMP_WORDS=("${words[@]}" "$2") COMP_CWORD=${#words[@]}
        # Names of files are left to bash, which knows folders and blanks.
        compgen() { [[ $1 == -f ]] || builtin compgen "$@"; }
        _cargo_xtask cargo_xtask "$2" "${words[-1]}"
        unset -f compgen
        # Flags are for those who begin one.
        [[ $2 == -* ]] || for word in "${!COMPREPLY[@]}"; do
            [[ ${COMPREPLY[word]} != -* ]] || unset "COMPREPLY[word]"
        done
    elif declare -F _cargo >/dev/null; then
        _cargo "$@"
    else
        compopt -o bashdefault -o default
    fi
}
# bash-completion loads what it has for cargo with the first Tab, unless cargo has a completion by then.
declare -F _cargo >/dev/null || _comp_load cargo 2>/dev/null || _completion_loader cargo 2>/dev/null || true
complete -F _cargo_xtask_hook cargo
