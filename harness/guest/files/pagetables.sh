# Calls of firmware whose page tables the host looks at (docs/page-tables.md). Sourced by init.

proc=${proc-/proc}
efivars=$sys/firmware/efi/efivars
# Vendor of the variables that command the runtime driver (harness/model/runtime.py, MAGIC_GUID).
driver_guid=d2d24daf-8250-46e3-9d83-e40c1ed37d88
stress_variable=harness-stress-8aee3d85-1374-4b0e-abcf-70f870e79b4a
# As many of firmware's pages as a loader covers at most.
stress_bytes_max=4194304

# efivars_or FRAME: false, and FRAME is sent, when firmware cannot be called.
efivars_or() {
    while read -r _ directory type _; do
        [ "$type" = efivarfs ] && [ "$directory" = "$efivars" ] && return
    done <"$proc/mounts"
    printf 'runtime=absent\n\n' >"$work/called"
    link_send "$1" "$work/called"
    return 1
}

# One call of SetVariable, by a command that has the driver do nothing, under a name of its own; then what debugfs shows of the tables that it ran on, or nothing.
command_page_tables() {
    efivars_or page-tables || return
    { printf '\6\0\0\0none' >"$efivars/set-variable.t$link_sequence-$driver_guid"; } 2>"$work/output"
    rc=$?
    {
        printf 'runtime=present\nrc=%s\n\n' "$rc"
        if [ $rc != 0 ]; then
            cat "$work/output"
        elif [ -r "$sys/kernel/debug/page_tables/efi" ]; then
            cat "$sys/kernel/debug/page_tables/efi"
        fi
    } >"$work/called"
    link_send page-tables "$work/called"
}

# Calls of firmware on every CPU, beside processes whose pages have the addresses of firmware's 1:1 mappings.
command_stress() {
    field_or_error calls || return
    calls=$value
    field_or_error loaders || return
    loaders=$value
    efivars_or stress || return
    firmware_code
    hstress "$calls" "$loaders" "$base" "$bytes" \
        "$efivars/set-variable.s$link_sequence-$driver_guid" "$efivars/$stress_variable" >"$work/output" 2>&1
    rc=$?
    {
        printf 'runtime=present\nrc=%s\nbase=%s\nbytes=%s\n\n' "$rc" "$base" "$bytes"
        cat "$work/output"
    } >"$work/called"
    link_send stress "$work/called"
}

# firmware_code: $base and $bytes, decimal, of the largest EfiRuntimeServicesCode region that the kernel shows.
firmware_code() {
    base=0
    bytes=0
    for region in "$sys"/firmware/efi/runtime-map/*; do
        one_line "$region/type"
        [ "$value" = 0x5 ] || continue
        one_line "$region/num_pages"
        pages=$((value * 4096))
        [ "$pages" -gt "$bytes" ] || continue
        bytes=$pages
        one_line "$region/phys_addr"
        base=$((value))
    done
    if [ "$bytes" -gt "$stress_bytes_max" ]; then
        bytes=$stress_bytes_max
    fi
}
