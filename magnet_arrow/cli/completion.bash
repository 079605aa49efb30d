# Completion of magnet-arrow for bash 3.2 and later. magnet-arrow itself answers what may come next.
_magnet_arrow() {
    local program=${1/#\~\//$HOME/} reply
    COMPREPLY=()
    while IFS= read -r reply; do
        COMPREPLY+=("$reply")
    done < <(_MAGNET_ARROW_COMPLETE=bash _MAGNET_ARROW_LINE="${COMP_LINE:0:COMP_POINT}" \
        _MAGNET_ARROW_BREAKS="$COMP_WORDBREAKS" "$program" 2>/dev/null)
    # Only the shell knows what a variable is.
    if [[ ${#COMPREPLY[@]} -eq 0 && $2 == *[\$\`]* ]]; then
        compopt +o nospace -o bashdefault -o default 2>/dev/null
    fi
}
complete -o nospace -F _magnet_arrow magnet-arrow
