
# `cargo xtask …` is completed as `cargo_xtask …`, beside what fish has for cargo.
function __fish_cargo_xtask_hook
    set -l words (commandline -opc)
    set -l rest $words[(math (contains -i -- xtask $words) + 1)..]
    complete -C (string join ' ' -- cargo_xtask (string escape -- $rest) (commandline -ct))
end
complete -c cargo -n "__fish_seen_subcommand_from xtask" -f -a "(__fish_cargo_xtask_hook)"
