# finish: the self-test, and the manifest of what is installed.
# shellcheck shell=bash disable=SC2154

# in_service COMMAND...: runs it as a systemd unit with a delegated control group.
in_service()
{
    if has_systemd; then
        systemd-run --quiet --wait --pipe --collect --service-type=exec --property=Delegate=yes \
            --property=NoNewPrivileges=yes -- "$@"
    else
        "$@"
    fi
}

run_self_test()
{
    local answer source
    if [ -z "$self_test" ]; then
        note "skipped (--no-self-test)"
        return
    fi
    if [ -n "$dry_run" ]; then
        note "would run: evalx check, and a program in the sandbox"
        return
    fi
    if ! in_service /usr/local/bin/evalx check >"$state/check" 2>&1; then
        cat "$state/check" >&2
        fail "evalx check: this machine cannot run programs (reasons and remedies above)"
    fi
    grep -E '^(warn|FAIL)' "$state/check" | sed 's/^/         /' || true
    source=$(mktemp -d)
    # shellcheck disable=SC2016 # expanded by the program
    printf 'read -r a b\necho $((a * b))\n' >"$source/main.sh"
    printf '6 7\n' >"$source/input"
    answer=$(in_service /usr/local/bin/evalx run "$source/main.sh" --language bash --stdin "$source/input") ||
        fail "a program in the sandbox failed: $answer"
    rm -rf "$source"
    [ "$answer" = 42 ] || fail "a program in the sandbox printed \"$answer\" instead of 42"
    note "a program in the sandbox printed the expected output"
}

quoted()
{
    printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g')"
}

# as_array: turns the lines on standard input into the elements of a JSON array.
as_array()
{
    local line comma=
    printf '['
    while IFS= read -r line; do
        printf '%s\n    %s' "$comma" "$line"
        comma=,
    done
    printf '\n  ]'
}

# Names of paths and packages need no escaping.  Files that the operator edits have no checksum.
manifest_files()
{
    printf '%s\n' "${files_put[@]}" | sort -u | grep -vxF -f <(printf '%s\n' "${files_once[@]}") |
        { xargs sha256sum 2>/dev/null || true; } |
        awk '{ printf "{\"path\": \"%s\", \"sha256\": \"%s\"}\n", $2, $1 }'
    printf '{"path": "%s", "sha256": null}\n' "${files_once[@]}"
}

manifest_images()
{
    local file
    for file in /opt/evalx/chroots/*.manifest; do
        [ ! -f "$file" ] || awk '
            $1 == "image" || $1 == "suite" || $1 == "built" || $1 == "sha256" { value[$1] = $2 }
            END { printf "{\"name\": \"%s\", \"suite\": \"%s\", \"built\": \"%s\", \"sha256\": \"%s\"}\n",
                value["image"], value["suite"], value["built"], value["sha256"] }' "$file"
    done
}

manifest_packages()
{
    local wanted
    read -ra wanted < <(packages_wanted)
    { dpkg-query -W -f '{"name": "${Package}", "version": "${Version}"}\t${Status}\n' \
        isolate amazon-cloudwatch-agent "${wanted[@]}" 2>/dev/null || true; } |
        sed -n 's/\tinstall ok installed$//p' | sort -u
}

# "written" is the time of the last change, not of the last run: a second run does not change the file.
write_manifest()
{
    local body old
    if [ -n "$dry_run" ]; then
        note "would write: /etc/evalx/manifest.json"
        return
    fi
    body=$(
        echo "  \"system\": $(quoted "$release"),"
        echo "  \"architecture\": $(quoted "$(dpkg --print-architecture)"),"
        echo "  \"evalx\": $(quoted "$(/usr/local/bin/evalx version | head -n 1)"),"
        echo "  \"source\": $(quoted "$(source_commit)"),"
        echo "  \"files\": $(manifest_files | as_array),"
        echo "  \"images\": $(manifest_images | as_array),"
        echo "  \"packages\": $(manifest_packages | as_array)"
    )
    old=$(tail -n +3 /etc/evalx/manifest.json 2>/dev/null || true)
    if [ "$old" = "$body"$'\n}' ]; then
        note "/etc/evalx/manifest.json is up to date"
        return
    fi
    printf '{\n  "written": "%s",\n%s\n}\n' "$(date -u +%FT%TZ)" "$body" >/etc/evalx/manifest.json.new
    chmod 644 /etc/evalx/manifest.json.new
    mv -f /etc/evalx/manifest.json.new /etc/evalx/manifest.json
    note "/etc/evalx/manifest.json"
}

source_commit()
{
    if command -v git >/dev/null && git -c safe.directory='*' -C "$clone" rev-parse HEAD 2>/dev/null; then
        return
    fi
    echo unknown
}

finish()
{
    # shellcheck disable=SC2034 # on_exit reads it
    current_step=
    if [ -n "$dry_run" ]; then
        say "dry run: nothing was changed"
        return
    fi
    say "done; set EVALX_ROLE and EVALX_STORE in /etc/evalx/evalx.env and run: systemctl enable --now evalx.service"
}
