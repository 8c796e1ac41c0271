# The link to the host: frames on COM2 (docs/link-protocol.md, harness/machine/frame.py). Sourced by init.
# A fork costs milliseconds under TCG, so builtins do whatever they can.

work=${work-/run/link}
link_sequence=0

# link_open DEVICE: descriptor 3 stays open for good, so the settings are never reset.
link_open() {
    mkdir -p "$work"
    exec 3<>"$1"
    stty 115200 raw -echo clocal -crtscts <&3
}

# link_send KIND [FILE]: a frame with the file as payload (fields, blank line, body).
link_send() {
    link_text=-
    if [ -n "${2-}" ]; then
        link_text=$(base64 -w0 "$2")
    fi
    link_sequence=$((link_sequence + 1))
    printf %s "$nonce $link_sequence $1 ${link_text:--}" >"$work/covered"
    printf '\n@HL1 %s %s\n' "$nonce $link_sequence $1 ${link_text:--}" "$(crc32 <"$work/covered")" >&3
}

# link_error WHAT RC [FILE]: the file's text goes along as body.
link_error() {
    printf 'what=%s\nrc=%s\n\n' "$1" "$2" >"$work/error"
    if [ -n "${3-}" ]; then
        cat "$3" >>"$work/error"
    fi
    link_send error "$work/error"
}

# link_receive: waits for the next whole frame of this run; sets $kind, leaves the payload in $work/in.
# Lines without a frame are noise. A broken frame is answered, or the host would wait in vain.
link_receive() {
    while :; do
        if ! IFS= read -r link_line <&3; then
            sleep 1
            continue
        fi
        case $link_line in
        *'@HL1 '*) ;;
        *) continue ;;
        esac
        link_line=${link_line##*@HL1 }
        link_line=${link_line%"$carriage_return"}
        if link_parse; then
            return
        fi
        link_error 'broken frame on the link' 1
    done
}

# link_parse: takes $link_line (what follows "@HL1 ") apart; false when its checksum or its nonce is wrong.
link_parse() {
    printf %s "${link_line% *}" >"$work/covered"
    [ "$(crc32 <"$work/covered")" = "${link_line##* }" ] || return 1
    link_line=${link_line% *}
    [ "${link_line%% *}" = "$nonce" ] || return 1
    link_text=${link_line##* }
    link_line=${link_line% *}
    kind=${link_line##* }
    if [ "$link_text" = - ]; then
        : >"$work/in"
    else
        printf %s "$link_text" >"$work/text"
        base64 -d "$work/text" >"$work/in"
    fi
}

# link_field NAME: sets $value to that field of the frame just received; false when it has none.
link_field() {
    value=
    while IFS= read -r link_line || [ -n "$link_line" ]; do
        case $link_line in
        '') return 1 ;;
        "$1="*)
            value=${link_line#*=}
            return 0
            ;;
        esac
    done <"$work/in"
    return 1
}

# link_drain: returns when every byte has left the port, not only the shell.
link_drain() {
    hkexec drain <&3
}
