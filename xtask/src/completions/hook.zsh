
# `cargo xtask …` is completed as `cargo_xtask …`, the rest of cargo as before.
_cargo_xtask_hook() {
    local -i at=2
    while [[ $words[at] == [+-]* ]]; do (( at += 1 )); done
    if (( at < CURRENT )) && [[ $words[at] == xtask ]]; then
        words=(cargo_xtask "${(@)words[at+1,-1]}")
        (( CURRENT -= at - 1 ))
        _cargo_xtask
    else
        ${_cargo_xtask_before:-_default}
    fi
}
[[ $_comps[cargo] == _cargo_xtask_hook ]] || typeset -g _cargo_xtask_before=$_comps[cargo]
compdef _cargo_xtask_hook cargo
