/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent needs of the UEFI 2.10. Names are the specification's, so they can be looked up there;
 * the section is given at each group. Members that are never called are plain pointers that keep the layout.
 */
#ifndef HARNESS_AGENT_EFI_H
#define HARNESS_AGENT_EFI_H

typedef unsigned char UINT8;
typedef unsigned short UINT16;
typedef unsigned int UINT32;
typedef unsigned long long UINT64;
#ifdef __x86_64__
typedef UINT64 UINTN;
#else
typedef UINT32 UINTN; /* 32-bit firmware; a 64-bit kernel then runs in mixed mode */
#endif
typedef long long INT64;
typedef UINT16 CHAR16;
typedef UINT8 BOOLEAN;
typedef UINTN EFI_STATUS;
typedef UINTN EFI_TPL;
typedef UINT64 EFI_PHYSICAL_ADDRESS;
typedef void *EFI_HANDLE;

/* The calling conventions (2.3.2.2 and 2.3.4.2) are the compiler's own for a windows target. */
#ifdef __x86_64__
#define EFIAPI __attribute__((ms_abi))
#else
#define EFIAPI __attribute__((cdecl))
#endif

/* Physical addresses are pointers while boot services run (2.3.2, 2.3.4: identity mapped), but may be wider. */
static inline UINT64 address_of(const void *pointer)
{
	return (UINTN)pointer;
}

static inline void *pointer_to(UINT64 address)
{
	return (void *)(UINTN)address;
}

/* Status codes, appendix D */
#define EFI_ERROR_BIT ((UINTN)1 << (8 * sizeof(UINTN) - 1))
#define EFI_SUCCESS ((UINTN)0)
#define EFI_LOAD_ERROR (EFI_ERROR_BIT | 1)
#define EFI_INVALID_PARAMETER (EFI_ERROR_BIT | 2)
#define EFI_UNSUPPORTED (EFI_ERROR_BIT | 3)
#define EFI_BAD_BUFFER_SIZE (EFI_ERROR_BIT | 4)
#define EFI_BUFFER_TOO_SMALL (EFI_ERROR_BIT | 5)
#define EFI_NOT_READY (EFI_ERROR_BIT | 6)
#define EFI_DEVICE_ERROR (EFI_ERROR_BIT | 7)
#define EFI_OUT_OF_RESOURCES (EFI_ERROR_BIT | 9)
#define EFI_NOT_FOUND (EFI_ERROR_BIT | 14)
#define EFI_ABORTED (EFI_ERROR_BIT | 21)
#define EFI_INCOMPATIBLE_VERSION (EFI_ERROR_BIT | 25)
#define EFI_FAILED(status) (((status) & EFI_ERROR_BIT) != 0)

#define EFI_PAGE_SIZE 4096ULL
#define TPL_NOTIFY 16     /* 7.1 */
#define TPL_HIGH_LEVEL 31
#define EVT_SIGNAL_EXIT_BOOT_SERVICES 0x00000201
#define EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE 0x60000202

typedef struct {
	UINT32 Data1;
	UINT16 Data2;
	UINT16 Data3;
	UINT8 Data4[8];
} EFI_GUID;

static inline BOOLEAN same_guid(const EFI_GUID *one, const EFI_GUID *other)
{
	const UINT8 *a = (const void *)one, *b = (const void *)other;

	for (UINTN i = 0; i < sizeof(*one); i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

typedef struct {
	UINT64 Signature;
	UINT32 Revision;
	UINT32 HeaderSize;
	UINT32 CRC32;
	UINT32 Reserved;
} EFI_TABLE_HEADER;

typedef enum { AllocateAnyPages, AllocateMaxAddress, AllocateAddress } EFI_ALLOCATE_TYPE; /* 7.2.1 */

enum {
	EfiLoaderData = 2,
	EfiBootServicesData = 4,
	EfiRuntimeServicesCode = 5,
	EfiRuntimeServicesData = 6,
	EfiConventionalMemory = 7,
	EfiPalCode = 13,
	EfiPersistentMemory = 14,
};

enum { AllHandles, ByRegisterNotify, ByProtocol }; /* EFI_LOCATE_SEARCH_TYPE, 7.3.7 */

#define EFI_MEMORY_XP (1ULL << 14)
#define EFI_MEMORY_RO (1ULL << 17)
#define EFI_MEMORY_RUNTIME (1ULL << 63)
#define EFI_LOCATE_BY_PROTOCOL 2 /* EFI_LOCATE_SEARCH_TYPE, 7.3.15 */

typedef struct { /* 7.2.3; firmware may make the entries of the map larger */
	UINT32 Type;
	UINT32 Reserved;
	EFI_PHYSICAL_ADDRESS PhysicalStart;
	UINT64 VirtualStart;
	UINT64 NumberOfPages;
	UINT64 Attribute;
} EFI_MEMORY_DESCRIPTOR;

typedef struct { /* 10.3.1 */
	UINT8 Type;
	UINT8 SubType;
	UINT8 Length[2];
} EFI_DEVICE_PATH_PROTOCOL;

typedef EFI_STATUS(EFIAPI *EFI_ALLOCATE_PAGES)(EFI_ALLOCATE_TYPE Type, UINT32 MemoryType, UINTN Pages,
					       EFI_PHYSICAL_ADDRESS *Memory);
typedef EFI_STATUS(EFIAPI *EFI_FREE_PAGES)(EFI_PHYSICAL_ADDRESS Memory, UINTN Pages);
typedef EFI_STATUS(EFIAPI *EFI_GET_MEMORY_MAP)(UINTN *MemoryMapSize, void *MemoryMap, UINTN *MapKey,
					       UINTN *DescriptorSize, UINT32 *DescriptorVersion);

typedef struct { /* 4.4 */
	EFI_TABLE_HEADER Hdr;
	EFI_TPL(EFIAPI *RaiseTPL)(EFI_TPL NewTpl);
	void(EFIAPI *RestoreTPL)(EFI_TPL OldTpl);
	EFI_ALLOCATE_PAGES AllocatePages;
	EFI_FREE_PAGES FreePages;
	EFI_GET_MEMORY_MAP GetMemoryMap;
	EFI_STATUS(EFIAPI *AllocatePool)(UINT32 PoolType, UINTN Size, void **Buffer);
	EFI_STATUS(EFIAPI *FreePool)(void *Buffer);
	EFI_STATUS(EFIAPI *CreateEvent)(UINT32 Type, EFI_TPL NotifyTpl, void(EFIAPI *NotifyFunction)(void *, void *),
					void *NotifyContext, void **Event);
	void *SetTimer;
	void *WaitForEvent;
	void *SignalEvent;
	void *CloseEvent;
	void *CheckEvent;
	void *InstallProtocolInterface;
	void *ReinstallProtocolInterface;
	void *UninstallProtocolInterface;
	EFI_STATUS(EFIAPI *HandleProtocol)(EFI_HANDLE Handle, const EFI_GUID *Protocol, void **Interface);
	void *Reserved;
	void *RegisterProtocolNotify;
	void *LocateHandle;
	EFI_STATUS(EFIAPI *LocateDevicePath)(const EFI_GUID *Protocol, EFI_DEVICE_PATH_PROTOCOL **DevicePath,
					     EFI_HANDLE *Device);
	EFI_STATUS(EFIAPI *InstallConfigurationTable)(const EFI_GUID *Guid, void *Table);
	EFI_STATUS(EFIAPI *LoadImage)(BOOLEAN BootPolicy, EFI_HANDLE ParentImageHandle,
				      EFI_DEVICE_PATH_PROTOCOL *DevicePath, void *SourceBuffer, UINTN SourceSize,
				      EFI_HANDLE *ImageHandle);
	EFI_STATUS(EFIAPI *StartImage)(EFI_HANDLE ImageHandle, UINTN *ExitDataSize, CHAR16 **ExitData);
	void *Exit;
	void *UnloadImage;
	EFI_STATUS(EFIAPI *ExitBootServices)(EFI_HANDLE ImageHandle, UINTN MapKey);
	void *GetNextMonotonicCount;
	EFI_STATUS(EFIAPI *Stall)(UINTN Microseconds);
	EFI_STATUS(EFIAPI *SetWatchdogTimer)(UINTN Timeout, UINT64 WatchdogCode, UINTN DataSize, CHAR16 *WatchdogData);
	EFI_STATUS(EFIAPI *ConnectController)(EFI_HANDLE ControllerHandle, EFI_HANDLE *DriverImageHandle,
					      EFI_DEVICE_PATH_PROTOCOL *RemainingDevicePath, BOOLEAN Recursive);
	void *DisconnectController;
	void *OpenProtocol;
	void *CloseProtocol;
	void *OpenProtocolInformation;
	void *ProtocolsPerHandle;
	EFI_STATUS(EFIAPI *LocateHandleBuffer)(UINT32 SearchType, const EFI_GUID *Protocol, void *SearchKey,
					       UINTN *NoHandles, EFI_HANDLE **Buffer);
	EFI_STATUS(EFIAPI *LocateProtocol)(const EFI_GUID *Protocol, void *Registration, void **Interface);
	EFI_STATUS(EFIAPI *InstallMultipleProtocolInterfaces)(EFI_HANDLE *Handle, ...);
	void *UninstallMultipleProtocolInterfaces;
	EFI_STATUS(EFIAPI *CalculateCrc32)(void *Data, UINTN DataSize, UINT32 *Crc32);
	void *CopyMem;
	void *SetMem;
	void *CreateEventEx;
} EFI_BOOT_SERVICES;

typedef EFI_STATUS(EFIAPI *EFI_GET_TIME)(void *Time, void *Capabilities);
typedef EFI_STATUS(EFIAPI *EFI_SET_VARIABLE)(CHAR16 *VariableName, EFI_GUID *VendorGuid, UINT32 Attributes,
					     UINTN DataSize, void *Data);
typedef void(EFIAPI *EFI_RESET_SYSTEM)(UINT32 ResetType, EFI_STATUS ResetStatus, UINTN DataSize, void *ResetData);
typedef EFI_STATUS(EFIAPI *EFI_QUERY_VARIABLE_INFO)(UINT32 Attributes, UINT64 *MaximumVariableStorageSize,
						    UINT64 *RemainingVariableStorageSize, UINT64 *MaximumVariableSize);

typedef struct { /* 4.5 */
	EFI_TABLE_HEADER Hdr;
	EFI_GET_TIME GetTime;
	void *SetTime;
	void *GetWakeupTime;
	void *SetWakeupTime;
	EFI_STATUS(EFIAPI *SetVirtualAddressMap)(UINTN MemoryMapSize, UINTN DescriptorSize, UINT32 DescriptorVersion,
						 EFI_MEMORY_DESCRIPTOR *VirtualMap);
	EFI_STATUS(EFIAPI *ConvertPointer)(UINTN DebugDisposition, void **Address);
	void *GetVariable;
	void *GetNextVariableName;
	EFI_SET_VARIABLE SetVariable;
	void *GetNextHighMonotonicCount;
	EFI_RESET_SYSTEM ResetSystem;
	void *UpdateCapsule;
	void *QueryCapsuleCapabilities;
	EFI_QUERY_VARIABLE_INFO QueryVariableInfo;
} EFI_RUNTIME_SERVICES;

typedef struct { /* 4.6.2 */
	UINT16 Version;
	UINT16 Length;
	UINT32 RuntimeServicesSupported;
} EFI_RT_PROPERTIES_TABLE;

typedef struct { /* 4.6.4; the descriptors follow, DescriptorSize apart */
	UINT32 Version;
	UINT32 NumberOfEntries;
	UINT32 DescriptorSize;
	UINT32 Flags;
} EFI_MEMORY_ATTRIBUTES_TABLE;

typedef struct { /* 4.6 */
	EFI_GUID VendorGuid;
	void *VendorTable;
} EFI_CONFIGURATION_TABLE;

typedef struct { /* 4.3 */
	EFI_TABLE_HEADER Hdr;
	CHAR16 *FirmwareVendor;
	UINT32 FirmwareRevision;
	EFI_HANDLE ConsoleInHandle;
	void *ConIn;
	EFI_HANDLE ConsoleOutHandle;
	void *ConOut;
	EFI_HANDLE StandardErrorHandle;
	void *StdErr;
	EFI_RUNTIME_SERVICES *RuntimeServices;
	EFI_BOOT_SERVICES *BootServices;
	UINTN NumberOfTableEntries;
	EFI_CONFIGURATION_TABLE *ConfigurationTable;
} EFI_SYSTEM_TABLE;

typedef struct { /* 9.1 */
	UINT32 Revision;
	EFI_HANDLE ParentHandle;
	EFI_SYSTEM_TABLE *SystemTable;
	EFI_HANDLE DeviceHandle;
	EFI_DEVICE_PATH_PROTOCOL *FilePath;
	void *Reserved;
	UINT32 LoadOptionsSize;
	void *LoadOptions;
	void *ImageBase;
	UINT64 ImageSize;
	UINT32 ImageCodeType;
	UINT32 ImageDataType;
	void *Unload;
} EFI_LOADED_IMAGE_PROTOCOL;

typedef struct EFI_LOAD_FILE2_PROTOCOL EFI_LOAD_FILE2_PROTOCOL;
struct EFI_LOAD_FILE2_PROTOCOL { /* 13.2 */
	EFI_STATUS(EFIAPI *LoadFile)(EFI_LOAD_FILE2_PROTOCOL *This, EFI_DEVICE_PATH_PROTOCOL *FilePath,
				     BOOLEAN BootPolicy, UINTN *BufferSize, void *Buffer);
};

typedef struct EFI_ACPI_TABLE_PROTOCOL EFI_ACPI_TABLE_PROTOCOL;
struct EFI_ACPI_TABLE_PROTOCOL { /* 20.2 */
	EFI_STATUS(EFIAPI *InstallAcpiTable)(EFI_ACPI_TABLE_PROTOCOL *This, void *AcpiTableBuffer,
					     UINTN AcpiTableBufferSize, UINTN *TableKey);
	void *UninstallAcpiTable;
};

/* ACPI 6.5, 5.2.5.3 and 5.2.6; all fields little-endian and unaligned */
typedef struct {
	char Signature[8];
	UINT8 Checksum;
	char OemId[6];
	UINT8 Revision;
	UINT32 RsdtAddress;
	UINT32 Length;
	UINT64 XsdtAddress;
	UINT8 ExtendedChecksum;
	UINT8 Reserved[3];
} __attribute__((packed)) ACPI_RSDP;

typedef struct {
	char Signature[4];
	UINT32 Length;
	UINT8 Revision;
	UINT8 Checksum;
	char OemId[6];
	char OemTableId[8];
	UINT32 OemRevision;
	UINT32 CreatorId;
	UINT32 CreatorRevision;
} __attribute__((packed)) ACPI_TABLE_HEADER;

#define EFI_ACPI_TABLE_PROTOCOL_GUID                                                                                   \
	{ 0xffe06bdd, 0x6107, 0x46a6, { 0x7b, 0xb2, 0x5a, 0x9c, 0x7e, 0xc5, 0x27, 0x5c } }
#define EFI_ACPI_20_TABLE_GUID                                                                                         \
	{ 0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 } }
#define EFI_LOADED_IMAGE_PROTOCOL_GUID                                                                                 \
	{ 0x5b1b31a1, 0x9562, 0x11d2, { 0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_DEVICE_PATH_PROTOCOL_GUID                                                                                  \
	{ 0x09576e91, 0x6d3f, 0x11d2, { 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_LOAD_FILE2_PROTOCOL_GUID                                                                                   \
	{ 0x4006c0c1, 0xfcb3, 0x403e, { 0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d } }
#define EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID                                                                           \
	{ 0x964e5b22, 0x6459, 0x11d2, { 0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b } }
#define EFI_RT_PROPERTIES_TABLE_GUID                                                                                   \
	{ 0xeb66918a, 0x7eef, 0x402a, { 0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9 } }
#define EFI_MEMORY_ATTRIBUTES_TABLE_GUID                                                                               \
	{ 0xdcfa911d, 0x26eb, 0x469f, { 0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20 } }
/* Documentation/admin-guide/efi-stub.rst and drivers/firmware/efi/libstub/efi-stub-helper.c of Linux >= 5.8 */
#define LINUX_EFI_INITRD_MEDIA_GUID                                                                                    \
	{ 0x5568e427, 0x68fc, 0x4f3d, { 0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68 } }

/* Device path nodes, 10.3 */
#define HARDWARE_DEVICE_PATH 0x01
#define HW_MEMMAP_DP 0x03
#define MEDIA_DEVICE_PATH 0x04
#define MEDIA_VENDOR_DP 0x03
#define MEDIA_FILEPATH_DP 0x04
#define END_DEVICE_PATH 0x7f
#define END_ENTIRE_DEVICE_PATH 0xff

typedef struct {
	EFI_DEVICE_PATH_PROTOCOL Vendor;
	EFI_GUID Guid;
	EFI_DEVICE_PATH_PROTOCOL End;
} __attribute__((packed)) VENDOR_MEDIA_PATH;

typedef struct {
	EFI_DEVICE_PATH_PROTOCOL Memory;
	UINT32 MemoryType;
	UINT64 StartingAddress;
	UINT64 EndingAddress;
	EFI_DEVICE_PATH_PROTOCOL End;
} __attribute__((packed)) MEMORY_MAPPED_PATH;

_Static_assert(sizeof(EFI_TABLE_HEADER) == 24, "EFI_TABLE_HEADER");
_Static_assert(__builtin_offsetof(EFI_BOOT_SERVICES, LoadImage) == 24 + 22 * sizeof(UINTN), "EFI_BOOT_SERVICES");
_Static_assert(sizeof(EFI_BOOT_SERVICES) == 24 + 44 * sizeof(UINTN), "EFI_BOOT_SERVICES");
_Static_assert(__builtin_offsetof(EFI_RUNTIME_SERVICES, SetVariable) == 24 + 8 * sizeof(UINTN), "EFI_RUNTIME_SERVICES");
_Static_assert(__builtin_offsetof(EFI_BOOT_SERVICES, LocateProtocol) == 24 + 37 * sizeof(UINTN), "EFI_BOOT_SERVICES");
_Static_assert(sizeof(EFI_RUNTIME_SERVICES) == 24 + 14 * sizeof(UINTN), "EFI_RUNTIME_SERVICES");
_Static_assert(__builtin_offsetof(EFI_SYSTEM_TABLE, BootServices) == (sizeof(UINTN) == 8 ? 96 : 60), "EFI_SYSTEM_TABLE");
_Static_assert(__builtin_offsetof(EFI_LOADED_IMAGE_PROTOCOL, ImageBase) == 8 * sizeof(UINTN), "loaded image");
_Static_assert(__builtin_offsetof(EFI_LOADED_IMAGE_PROTOCOL, ImageSize) == (sizeof(UINTN) == 8 ? 72 : 40), "its size");
_Static_assert(sizeof(EFI_MEMORY_DESCRIPTOR) == 40, "EFI_MEMORY_DESCRIPTOR");
_Static_assert(sizeof(ACPI_RSDP) == 36 && sizeof(ACPI_TABLE_HEADER) == 36, "ACPI tables");
_Static_assert(sizeof(VENDOR_MEDIA_PATH) == 24 && sizeof(MEMORY_MAPPED_PATH) == 28, "device paths");

#endif
