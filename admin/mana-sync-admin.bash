# bash completion for mana-sync-admin                      -*- shell-script -*-

# Words of the command line up to the cursor that are no option, nor an option's value.
_mana_sync_admin_plain_words() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --env-file | --sql-dir | --url | --app | --lost-at | --id) ((++i)) ;;
            -*) ;;
            *) printf '%s\n' "${COMP_WORDS[i]}" ;;
        esac
    done
}

_mana_sync_admin() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} plain options
    COMPREPLY=()
    case $before in
        --env-file)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --sql-dir)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        --url | --app | --lost-at | --id) return ;;
    esac
    mapfile -t plain < <(_mana_sync_admin_plain_words)
    if [[ $word != -* && ${#plain[@]} -eq 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'doctor check-config migrate status tail explain restore-write erase' -- "$word")
        return
    fi
    options='--env-file --sql-dir --help'
    case ${plain[0]-} in
        '') options+=' --version' ;;
        doctor) options+=' --url' ;;
        tail) options+=' --app --since-start --json' ;;
        explain) options+=' --json' ;;
        restore-write) options+=' --lost-at --id --yes' ;;
        erase) options+=' --dry-run' ;;
    esac
    if [[ $word == -* ]]; then mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word"); fi
}

complete -F _mana_sync_admin mana-sync-admin
