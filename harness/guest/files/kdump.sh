# Crashing this kernel, and saving what the crashed one left (docs/link-protocol.md). Sourced by init.

proc=${proc-/proc}
# Seconds between two reports of the progress of a copy.
kdump_tick=1

command_load_crash() {
    load_file=crash-file
    load_flag=-p
    command_load
    load_file=file
    load_flag=-l
    fact crash-kernel fact_crash_kernel
    fact_file kernel-notes "$sys/kernel/notes"
    link_send crash-ready
}

fact_crash_kernel() {
    values "$sys/kernel" '' kexec_crash_loaded kexec_crash_size vmcoreinfo
    values "$sys/devices/system/cpu" cpus_ online present
}

command_crash() {
    field_or_error by || return
    by=$value
    field_or_error task || return
    # Where a kernel lacks one of these, its trigger has no effect, and the host is told.
    crash_set sysrq 1
    crash_set panic_on_oops 1
    case $by in
    nmi) crash_set unknown_nmi_panic 1 ;;
    panic-on-warn) crash_set panic_on_warn 1 ;;
    softlockup) crash_set softlockup_panic 1 ;;
    esac
    # Only now: what is above must not be done by a task of that name.
    printf %s "$value" >"$proc/$$/comm"
    link_send crashing
    case $by in
    # From outside: from here on this task does nothing but wait to be interrupted, so it is the one that is.
    sysrq-in-irq | nmi) while :; do :; done ;;
    esac
    # Not before the host has seen that: link and console are read by two threads.
    link_receive
    if [ "$kind" != crash-now ]; then
        link_error "crash: $kind instead of crash-now" 1
        return
    fi
    case $by in
    sysrq) echo c >"$proc/sysrq-trigger" ;;
    init-dies) exit 1 ;;
    null-deref) lkdtm EXCEPTION ;;
    bug) lkdtm BUG ;;
    panic-on-warn) lkdtm WARNING ;;
    softlockup) lkdtm SOFTLOCKUP ;;
    # LKDTM's DOUBLE_FAULT is for 32-bit kernels only; a stack that is used up gives one.
    double-fault) lkdtm EXHAUST_STACK ;;
    firmware-fault) printf '\6\0\0\0non-canonical' >"$efivars/set-variable.k$link_sequence-$driver_guid" ;;
    *)
        link_error "crash: unknown trigger $by" 1
        return
        ;;
    esac 2>"$work/output"
    link_error "crash: $by had no effect" $? "$work/output"
}

# crash_set NAME VALUE: a number in /proc/sys/kernel.
crash_set() {
    if [ -w "$proc/sys/kernel/$1" ]; then
        echo "$2" >"$proc/sys/kernel/$1"
    fi
}

lkdtm() {
    echo "$1" >"$sys/kernel/debug/provoke-crash/DIRECT"
}

command_capture() {
    field_or_error filter || return
    filter=$value
    field_or_error disk || return
    find_disk "$value" || return
    fact kdump fact_kdump
    if [ ! -r "$proc/vmcore" ]; then
        link_error 'capture: there is no /proc/vmcore' 1
        return
    fi
    capture_dmesg
    capture_copy
}

# What shows that this is a capture kernel.
fact_kdump() {
    if [ -r "$proc/vmcore" ]; then
        printf 'vmcore_size=%s\n' "$(stat -c %s "$proc/vmcore")"
    else
        echo vmcore_size=absent
    fi
    values "$sys/kernel" '' kexec_crash_size
    cat "$proc/uptime"
}

# The crashed kernel's log, read by makedumpfile; the host reads it too, and compares.
capture_dmesg() {
    if ! command -v makedumpfile >/dev/null; then
        return
    fi
    mkdir -p /tmp # makedumpfile writes VMCOREINFO to a file there
    if makedumpfile --dump-dmesg "$proc/vmcore" "$work/vmcore-dmesg" >"$work/output" 2>&1; then
        fact_file vmcore-dmesg "$work/vmcore-dmesg"
        rm -f "$work/vmcore-dmesg"
    else
        fact_file vmcore-dmesg-failed "$work/output"
    fi
}

# Descriptor 4 is the disk; the copying program has the same open file, so its position here is that one's progress.
capture_copy() {
    exec 4>"$disk"
    if [ "$filter" = raw ]; then
        dd if="$proc/vmcore" bs=1M >&4 2>"$work/output" &
    else
        # Messages: 2 common, 4 errors, 16 counts of what was left out; no progress bar.
        makedumpfile --message-level 22 -F -c -d "$filter" "$proc/vmcore" >&4 2>"$work/output" &
    fi
    copier=$!
    while sleep "$kdump_tick" && kill -0 $copier 2>/dev/null; do
        capture_progress
        printf 'bytes=%s\n\n' "$value" >"$work/progress"
        link_send progress "$work/progress"
    done
    wait $copier
    rc=$?
    capture_progress
    exec 4>&-
    sync
    {
        printf 'rc=%s\nfilter=%s\nbytes=%s\n\n' "$rc" "$filter" "$value"
        cat "$work/output"
    } >"$work/captured"
    link_send captured "$work/captured"
}

# capture_progress: sets $value to the bytes written so far.
capture_progress() {
    read -r _ value <"$proc/$$/fdinfo/4"
}
