# What the host may ask for (docs/link-protocol.md). Sourced by init.

next=/run/next
dev=/dev
kmsg=/dev/kmsg
# How the next kernel is loaded; kdump.sh changes it for a capture kernel.
load_file=file
load_flag=-l

obey() {
    case $1 in
    load) command_load ;;
    exec) command_exec ;;
    load-crash) command_load_crash ;;
    crash) command_crash ;;
    capture) command_capture ;;
    page-tables) command_page_tables ;;
    stress) command_stress ;;
    runtime) command_runtime ;;
    efivars) command_efivars ;;
    alive) command_alive ;;
    reboot) command_reboot ;;
    try-load) command_try_load ;;
    *) link_error "unknown command $1" 1 ;;
    esac
}

# field_or_error NAME: like link_field, but a missing field is reported.
field_or_error() {
    link_field "$1" && return
    link_error "load: no field $1" 1
    return 1
}

command_load() {
    field_or_error cmdline || return
    next_cmdline=$value
    if next_kernel; then
        load
    fi
    # The kernel has its own copy; these would only take memory from the epoch.
    rm -rf "$next"
}

# next_kernel: sets $syscall and copies the next kernel and its initrd to $next; reports what goes wrong.
next_kernel() {
    field_or_error syscall || return
    syscall=$value
    field_or_error kernel || return
    kernel=$value
    field_or_error kernel_size || return
    kernel_size=$value
    field_or_error initrd || return
    initrd=$value
    field_or_error initrd_size || return
    initrd_size=$value
    case $syscall in
    file | load) ;;
    *)
        link_error "load: unknown syscall $syscall" 1
        return 1
        ;;
    esac
    mkdir -p "$next"
    fetch "$kernel" "$kernel_size" kernel || return
    # A kernel can be loaded without any initrd.
    [ "$initrd" = none ] || fetch "$initrd" "$initrd_size" initrd
}

# find_disk SERIAL: sets $disk; reports when there is none.
find_disk() {
    disk=
    for candidate in "$sys"/block/vd*; do
        one_line "$candidate/serial"
        if [ "$value" = "$1" ]; then
            disk=$dev/${candidate##*/}
        fi
    done
    if [ -z "$disk" ]; then
        link_error "load: no disk with serial $1" 1
        return 1
    fi
}

# fetch SERIAL BYTES NAME: copies the first bytes of the disk with that serial; reports what goes wrong.
fetch() {
    find_disk "$1" || return
    dd if="$disk" of="$next/$3" bs=1M count="$2" iflag=count_bytes,fullblock 2>"$work/output"
    rc=$?
    if [ $rc != 0 ]; then
        link_error "load: cannot copy $disk" $rc "$work/output"
        return 1
    fi
    # Not wc -c, which reads it all: a second under TCG.
    size=$(stat -c %s "$next/$3")
    if [ "$size" != "$2" ]; then
        link_error "load: $disk has only $size of $2 bytes" 1 "$work/output"
        return 1
    fi
}

load() {
    show_placement
    # Where this load begins in the kernel's log; level 7 keeps it off the console.
    load_mark="harness: load $link_sequence $syscall"
    echo "<7>$load_mark" >>"$kmsg"
    if [ "$syscall" = file ]; then
        if [ "$initrd" = none ]; then
            hkexec "$load_file" "$next/kernel" none "$next_cmdline"
        else
            hkexec "$load_file" "$next/kernel" "$next/initrd" "$next_cmdline"
        fi >"$work/output" 2>&1
    elif [ "$initrd" = none ]; then
        kexec -d -c "$load_flag" "$next/kernel" --command-line="$next_cmdline" >"$work/output" 2>&1
    else
        kexec -d -c "$load_flag" "$next/kernel" --initrd="$next/initrd" --command-line="$next_cmdline" >"$work/output" 2>&1
    fi
    rc=$?
    fact kexec-klog fact_load_log
    {
        printf 'rc=%s\nsyscall=%s\n\n' "$rc" "$syscall"
        cat "$work/output"
    } >"$work/loaded"
    link_send loaded "$work/loaded"
}

# 5.10 and 6.1 say where kexec_file_load places the segments by pr_debug only, 6.12 and later when the caller asks by
# KEXEC_FILE_DEBUG (hkexec does). An older kernel without CONFIG_DYNAMIC_DEBUG shows nothing.
show_placement() {
    for control in /sys/kernel/debug/dynamic_debug/control /proc/dynamic_debug/control; do
        if [ -w $control ]; then
            for source in kernel/kexec_file.c arch/x86/kernel/kexec-bzimage64.c; do
                echo "file $source +p" >$control
            done
            return
        fi
    done 2>/dev/null
}

# The kernel's messages since the mark; all there are, should the mark have left the buffer already.
fact_load_log() {
    dmesg >"$work/klog"
    if grep -q "$load_mark" "$work/klog"; then
        sed "1,/$load_mark/d" "$work/klog"
    else
        cat "$work/klog"
    fi
}

command_exec() {
    link_send leaving
    link_drain
    kexec -e >"$work/output" 2>&1
    link_error 'kexec -e came back' $? "$work/output"
}
