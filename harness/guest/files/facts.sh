# What every epoch reports about itself (docs/link-protocol.md). Sourced by init.
# The fact_* functions print a body; builtins only where it can be had, because a fork costs milliseconds under TCG.

sys=${sys-/sys}
mounts=${mounts-/proc/mounts}
proc=${proc-/proc}

# fact NAME FUNCTION: sends what the function prints.
fact() {
    {
        printf 'name=%s\n\n' "$1"
        "$2"
    } >"$work/fact"
    link_send fact "$work/fact"
}

# fact_file NAME FILE: sends a file as it is; nothing (an empty body) when it cannot be read.
fact_file() {
    printf 'name=%s\n\n' "$1" >"$work/fact"
    if [ -r "$2" ]; then
        cat "$2" >>"$work/fact"
    fi
    link_send fact "$work/fact"
}

# one_line FILE: sets $value to the first line of a file, empty when there is none.
# Not for numbers in /proc/sys: ash reads byte by byte, and proc_dointvec answers only the first read.
one_line() {
    value=
    if [ -r "$1" ]; then
        IFS= read -r value <"$1"
    fi 2>/dev/null
}

# values DIRECTORY PREFIX NAME...: a line PREFIXNAME=VALUE for each of these files that is there.
values() {
    values_in=$1
    values_prefix=$2
    shift 2
    for values_name in "$@"; do
        if [ -r "$values_in/$values_name" ]; then
            one_line "$values_in/$values_name"
            printf '%s%s=%s\n' "$values_prefix" "$values_name" "$value"
        fi
    done
}

send_hello() {
    one_line /proc/sys/kernel/random/boot_id
    boot_id=$value
    one_line /proc/sys/kernel/osrelease
    release=$value
    # boot_params.hdr.type_of_loader; the kernel prints it in decimal.
    loader=$(cat /proc/sys/kernel/bootloader_type)
    one_line /proc/version
    printf 'epoch=%s\nboot_id=%s\nrelease=%s\nloader=0x%x\n\n%s\n' \
        "$epoch" "$boot_id" "$release" "$loader" "$value" >"$work/hello"
    link_send hello "$work/hello"
}

send_facts() {
    fact_file cmdline /proc/cmdline
    fact_file iomem /proc/iomem
    fact memmap fact_memmap
    fact runtime-map fact_runtime_map
    fact esrt fact_esrt
    fact bgrt fact_bgrt
    fact_file acpi-bgrt /sys/firmware/acpi/tables/BGRT
    fact efivarfs fact_efivarfs
    fact mok-variables fact_mok_variables
    fact_file tpm-log /sys/kernel/security/tpm0/binary_bios_measurements
    fact_file boot-params /sys/kernel/boot_params/data
    fact_file tainted /proc/sys/kernel/tainted
    fact_file meminfo /proc/meminfo
    fact processors fact_processors
    fact acpi-tables fact_acpi_tables
    fact setup-data fact_setup_data
    fact devices fact_devices
    fact_file modules "$work/modules"
    fact klog dmesg
}

fact_memmap() {
    number=0
    while [ -d "$sys/firmware/memmap/$number" ]; do
        one_line "$sys/firmware/memmap/$number/start"
        start=$value
        one_line "$sys/firmware/memmap/$number/end"
        end=$value
        one_line "$sys/firmware/memmap/$number/type"
        printf '%s-%s %s\n' "$start" "$end" "$value"
        number=$((number + 1))
    done
}

fact_runtime_map() {
    number=0
    while [ -d "$sys/firmware/efi/runtime-map/$number" ]; do
        line=$number
        for name in type phys_addr virt_addr num_pages attribute; do
            one_line "$sys/firmware/efi/runtime-map/$number/$name"
            line="$line $name=$value"
        done
        printf '%s\n' "$line"
        number=$((number + 1))
    done
}

fact_esrt() {
    esrt=$sys/firmware/efi/esrt
    if [ ! -d "$esrt" ]; then
        echo absent
        return
    fi
    values "$esrt" '' fw_resource_count fw_resource_count_max fw_resource_version
    number=0
    while [ -d "$esrt/entries/entry$number" ]; do
        values "$esrt/entries/entry$number" entries/entry$number/ fw_class fw_type fw_version \
            lowest_supported_fw_version capsule_flags last_attempt_version last_attempt_status
        number=$((number + 1))
    done
}

fact_bgrt() {
    bgrt=$sys/firmware/acpi/bgrt
    if [ ! -d "$bgrt" ]; then
        echo absent
        return
    fi
    values "$bgrt" '' version status type xoffset yoffset
    cat "$bgrt/image" >"$work/image"
    sum=$(sha256sum "$work/image")
    printf 'image_sha256=%s\nimage_size=%s\n' "${sum%% *}" "$(stat -c %s "$work/image")"
}

# Can variables be asked for at all? After init has tried to mount efivarfs.
fact_efivarfs() {
    while read -r _ _ efivars_type efivars_options _; do
        if [ "$efivars_type" = efivarfs ]; then
            printf 'mounted=yes\noptions=%s\n' "$efivars_options"
            return
        fi
    done <"$mounts"
    printf 'mounted=no\nmessage=%s\n' "$efivarfs_message"
}

fact_mok_variables() {
    mok=$sys/firmware/efi/mok-variables
    if [ ! -d "$mok" ]; then
        echo absent
        return
    fi
    for file in "$mok"/*; do
        if [ -r "$file" ]; then
            sum=$(sha256sum "$file")
            printf '%s=%s %s\n' "${file##*/}" "$(stat -c %s "$file")" "${sum%% *}"
        fi
    done
}

fact_processors() {
    values "$sys/devices/system/cpu" '' online
    grep -m 1 '^flags' "$proc/cpuinfo"
}

fact_acpi_tables() {
    acpi=$sys/firmware/acpi/tables
    if [ ! -d "$acpi" ]; then
        echo absent
        return
    fi
    for table in "$acpi"/*; do
        if [ -f "$table" ]; then
            printf '%s\n' "${table##*/}"
        fi
    done
}

# A line NUMBER TYPE SIZE for each piece of setup_data that the kernel was given.
fact_setup_data() {
    for piece in "$sys"/kernel/boot_params/setup_data/*; do
        if [ -d "$piece" ]; then
            one_line "$piece/type"
            printf '%s %s %s\n' "${piece##*/}" "$value" "$(stat -c %s "$piece/data")"
        fi
    done
}

fact_devices() {
    for disk in "$sys"/block/vd*; do
        if [ -d "$disk" ]; then
            one_line "$disk/serial"
            printf '%s=%s\n' "${disk##*/}" "$value"
        fi
    done
}
