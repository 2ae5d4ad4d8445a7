# bash completion for evalx(1)

_evalx_settings()
{
    evalx help settings 2>/dev/null | awk '/^[a-z_]+ =/ { print $1 "=" }'
}

_evalx_languages()
{
    evalx languages 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_evalx()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i
    local commands="server worker run submit status queue dead languages prepare check version help"
    local common="--config --set --help"
    COMPREPLY=()

    for ((i = 1; i < COMP_CWORD; i++)); do
        case " $commands " in
        *" ${COMP_WORDS[i]} "*)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    case $before in
    --set)
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "$(_evalx_settings)" -- "$word")
        return
        ;;
    --language)
        mapfile -t COMPREPLY < <(compgen -W "$(_evalx_languages)" -- "$word")
        return
        ;;
    --config | --stdin | --expected)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --network)
        mapfile -t COMPREPLY < <(compgen -W "none loopback" -- "$word")
        return
        ;;
    --timeout | --memory | --server)
        return
        ;;
    esac

    local options=$common
    case $command in
    run) options="--stdin --language --timeout --memory --network --image --assertions --expected --json $common" ;;
    submit) options="--language --stdin --timeout --memory --network --image --assertions --expected --wait --server --json $common" ;;
    status) options="--wait --server --json $common" ;;
    queue | dead) options="--server --json $common" ;;
    prepare) options="--again $common" ;;
    languages) options="--images --json --measure --packages $common" ;;
    check | version) options="--json $common" ;;
    esac

    case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
    *)
        case $command in
        "") mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
        help) mapfile -t COMPREPLY < <(compgen -W "${commands% help} settings" -- "$word") ;;
        languages) mapfile -t COMPREPLY < <(compgen -W "verify $(_evalx_languages)" -- "$word") ;;
        prepare) mapfile -t COMPREPLY < <(compgen -W "$(_evalx_languages)" -- "$word") ;;
        dead) mapfile -t COMPREPLY < <(compgen -W "list show retry" -- "$word") ;;
        run | submit) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        esac
        ;;
    esac
}

complete -o filenames -F _evalx evalx
