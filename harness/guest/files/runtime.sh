# Calls of firmware that may go wrong, and what is left of the machine afterwards (docs/runtime-faults.md).
# Sourced by init, behind commands.sh and pagetables.sh.

efi_test=${efi_test-/dev/efi_test}
# Vendor of variables that are nobody's commands.
plain_guid=8aee3d85-1374-4b0e-abcf-70f870e79b4a
# How long anything but the call itself may take.
runtime_wait_s=20

# runtime_begin: a mark in the kernel's log; level 7 keeps it off the console.
runtime_begin() {
    runtime_mark="harness: call $link_sequence"
    echo "<7>$runtime_mark" >>"$kmsg"
}

# runtime_send KIND [FILE]: $work/called as fields, then what the kernel said since runtime_begin, or the file.
runtime_send() {
    {
        cat "$work/called"
        echo
        if [ -n "${2-}" ]; then
            cat "$2"
        else
            dmesg >"$work/klog"
            if grep -q "$runtime_mark" "$work/klog"; then
                sed "1,/$runtime_mark/d" "$work/klog"
            else
                cat "$work/klog"
            fi
        fi
    } >"$work/report"
    link_send "$1" "$work/report"
}

# runtime_arm SERVICE FAULT: has the driver commit a fault in all later calls of the service.
runtime_arm() {
    hruntime $runtime_wait_s write "$efivars/$1.a$link_sequence-$driver_guid" 6 "$2" >"$work/arm"
    while read -r line; do
        case $line in
        returned=* | errno=*) printf 'arm_%s\n' "$line" ;;
        esac
    done <"$work/arm" >>"$work/called"
    grep -q '^errno=0$' "$work/arm" && grep -q '^returned=yes$' "$work/arm"
}

# firmware_facts: what the kernel thinks of its firmware.
firmware_facts() {
    one_line "$sys/firmware/efi/fw_platform_size"
    printf 'runtime=present\nplatform_size=%s\n' "$value" >"$work/called"
}

command_runtime() {
    field_or_error call || return
    call=$value
    field_or_error wait_s || return
    wait_s=$value
    link_field fault
    fault=$value
    efivars_or called || return
    firmware_facts
    if [ "$call" = get-time ] && [ ! -e "$efi_test" ]; then
        echo 'efi_test=absent' >>"$work/called"
        runtime_begin
        runtime_send called
        return
    fi
    runtime_begin
    if [ "$call" != set-variable ] && [ -n "$fault" ] && ! runtime_arm "$call" "$fault"; then
        runtime_send called
        return
    fi
    case $call in
    set-variable) set -- write "$efivars/set-variable.c$link_sequence-$driver_guid" 6 "${fault:-none}" ;;
    # 7: non-volatile. The kernel asks QueryVariableInfo whether there is room.
    query-variable-info) set -- write "$efivars/HarnessQuery$link_sequence-$plain_guid" 7 x ;;
    get-time) set -- get-time "$efi_test" ;;
    *)
        link_error "runtime: unknown call $call" 1
        return
        ;;
    esac
    hruntime "$wait_s" "$@" >>"$work/called" 2>&1
    runtime_send called
}

command_efivars() {
    field_or_error round_trips || return
    count=$value
    field_or_error wait_s || return
    wait_s=$value
    efivars_or efivars || return
    firmware_facts
    runtime_begin
    hruntime "$wait_s" round-trips "$count" "$efivars/HarnessRoundTrip-$plain_guid" >>"$work/called" 2>&1
    runtime_send efivars
}

# Fork, memory and disk in a process of their own; then the tasks that are stuck, twice, because one may just wait.
command_alive() {
    disk=
    for candidate in "$sys"/block/vd*; do
        if [ -d "$candidate" ]; then
            one_line "$candidate/serial"
            disk=$dev/${candidate##*/}
            break
        fi
    done
    printf 'serial=%s\n' "$value" >"$work/called"
    : >"$work/page"
    if [ -z "$disk" ]; then
        echo 'disk=absent' >>"$work/called"
    else
        hruntime $runtime_wait_s alive "$disk" "$work/page" >>"$work/called" 2>&1
    fi
    stuck=$(stuck_tasks)
    if [ -n "$stuck" ]; then
        sleep 1
        stuck=$(stuck_tasks)
    fi
    printf 'stuck=%s\n' "$stuck" >>"$work/called"
    runtime_send alive "$work/page"
}

# stuck_tasks: "PID (NAME)," of every process in an uninterruptible wait, in one line.
stuck_tasks() {
    for directory in "$proc"/[0-9]*; do
        if read -r line <"$directory/stat"; then
            state=${line##*) }
            case $state in
            D*) printf '%s),' "${line%") $state"}" ;;
            esac
        fi 2>/dev/null
    done
}

command_reboot() {
    link_field fault
    fault=$value
    firmware_facts
    if [ -n "$fault" ]; then
        efivars_or rebooting || return
        firmware_facts
        runtime_begin
        if ! runtime_arm reset-system "$fault"; then
            runtime_send rebooting
            return
        fi
    fi
    echo >>"$work/called"
    link_send rebooting "$work/called"
    link_drain
    reboot -f >"$work/output" 2>&1
    link_error 'reboot -f came back' $? "$work/output"
}

# A load that the kernel must refuse; what it accepts all the same is unloaded.
command_try_load() {
    if next_kernel; then
        show_placement
        runtime_begin
        if [ "$syscall" = file ]; then
            hkexec file "$next/kernel" "$next/initrd" '' >"$work/output" 2>&1
        else
            kexec -c -l "$next/kernel" --initrd="$next/initrd" >"$work/output" 2>&1
        fi
        rc=$?
        {
            printf 'rc=%s\nsyscall=%s\n' "$rc" "$syscall"
            IFS= read -r line <"$work/output" && printf 'said=%s\n' "$line"
        } >"$work/called"
        runtime_send tried
        [ $rc != 0 ] || kexec -u
    fi
    rm -rf "$next"
}
