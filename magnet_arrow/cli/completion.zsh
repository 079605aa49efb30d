# Completion of magnet-arrow for zsh. magnet-arrow itself answers what may come next.
_magnet_arrow() {
    setopt localoptions extendedglob
    local program=${(Q)words[1]} begin= reply value shown
    local -a replies whole open
    if [[ $PREFIX == *[\$\`]* ]]; then  # only the shell knows what a variable is
        _files
        return
    fi
    replies=("${(@f)$(_MAGNET_ARROW_COMPLETE=zsh ${~program} "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    if [[ $PREFIX == \~*/* ]]; then  # else zsh would quote the ~
        begin=${PREFIX%%/*}/
        compset -P 1 '*/'
    fi
    for reply in $replies; do
        value=${reply%%$'\t'*}
        value=${value#$begin}
        shown=${${value% }//(#m)[\\:]/\\$MATCH}
        [[ $reply == *$'\t'* ]] && shown+=:${reply#*$'\t'}
        if [[ $value == *' ' ]]; then whole+=("$shown"); else open+=("$shown"); fi
    done
    _describe -V 'magnet-arrow' whole -- open -S ''
}
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
compdef _magnet_arrow magnet-arrow
