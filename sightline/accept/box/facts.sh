# What the box is: files as they are, and the answers of a few programs. Reads only.
# DISK is a folder that the person named for the data, or nothing.

tell() { # tell PATH [PROGRAM...]: the file, or what the program makes of it
  path=$1; shift
  [ -f "$path" ] && [ -r "$path" ] || return 0
  begin "file $path"
  if [ $# -gt 0 ]; then "$@" <"$path"; else head -c 1000000 <"$path"; fi
  end $?
}

begin who
id -u; id -un
end $?
if command -v sudo >/dev/null; then
  begin sudo
  run sudo -n true
  end $?
fi
begin system
uname -m; uname -r
end $?
begin processors
nproc || grep -c '^processor' /proc/cpuinfo
end $?
begin programs
for program in python3 curl wget git systemctl; do command -v "$program" >/dev/null && echo "$program"; done
end 0
# Ports that a rental house maps are told in the environment; nothing else of it is sent.
begin environment
{ tr '\0' '\n' </proc/1/environ; env; } | sed -n \
  -e '/^container=[a-z0-9.-]*$/p' -e '/^VAST_TCP_PORT_[0-9]*=[0-9]*$/p' -e '/^RUNPOD_TCP_PORT_[0-9]*=[0-9]*$/p'
end 0
begin connection
echo "${SSH_CONNECTION:-}"
end 0

for name in /etc/os-release /proc/meminfo /proc/self/mounts /proc/1/cgroup /proc/1/comm /proc/net/tcp \
  /proc/net/tcp6 /run/systemd/container /run/host/container-manager /sys/class/dmi/id/sys_vendor \
  /sys/class/dmi/id/product_name /sys/hypervisor/type /proc/driver/nvidia/version /sys/module/nvidia/version; do
  tell "$name"
done
tell /proc/cpuinfo sed '/^$/q'
begin marks
for name in /run/systemd/system /.dockerenv /run/.containerenv; do [ -e "$name" ] && echo "$name"; done
for name in /usr/lib/*-linux-gnu/libnvidia-ml.so* /usr/lib64/libnvidia-ml.so* \
  /usr/local/nvidia/lib64/libnvidia-ml.so* /usr/lib/wsl/lib/libnvidia-ml.so*; do
  [ -e "$name" ] && echo "$name"
done
end 0

# The limits of this session's control group and of all groups above it; the least of them counts.
limits() { # limits HIERARCHY GROUP FILE...
  hierarchy=$1 group=$2; shift 2
  case $group in *..*) group='' ;; esac
  while :; do
    for name; do tell "$hierarchy${group%/}/$name"; done
    case $group in '' | /) break ;; esac
    group=${group%/*}
  done
}
while IFS=: read -r _ controllers group; do
  case ",$controllers," in
    ,,) for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do limits "$top" "$group" memory.max cpu.max; done ;;
    *,memory,*) limits /sys/fs/cgroup/memory "$group" memory.limit_in_bytes ;;
    *,cpu,*)
      for top in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct; do
        limits "$top" "$group" cpu.cfs_quota_us cpu.cfs_period_us
      done ;;
  esac
done </proc/self/cgroup

begin pci
for device in /sys/bus/pci/devices/*; do
  [ -r "$device/vendor" ] || continue
  read -r vendor <"$device/vendor"; read -r kind <"$device/class"; read -r number <"$device/device"
  echo "${device##*/} $vendor $number $kind"
done
end 0

# Only disks that can hold a model: a network disk whose server is gone would keep `df` waiting.
tell_disk() { # tell_disk KIND FOLDER
  begin "disk $1 $2"
  [ -w "$2" ] && echo writable || echo closed
  run df -P -k "$2"
  end $?
}
while read -r _ point kind _; do
  point=$(printf '%b' "$point")
  case $point in
    / | /root/autodl-tmp | /root/autodl-tmp/* | /root/autodl-fs | /root/autodl-fs/* | /workspace | /workspace/* | \
      /runpod-volume | /runpod-volume/* | /mnt | /mnt/* | /data | /data/*) ;;
    *) case $kind in ext[234] | xfs | btrfs | zfs | f2fs | bcachefs | jfs | overlay) ;; *) continue ;; esac ;;
  esac
  [ -d "$point" ] && tell_disk "$kind" "$point"
done </proc/self/mounts
[ -z "$DISK" ] || tell_disk named "$DISK"

smi=$(command -v nvidia-smi)
for name in "$smi" /usr/bin/nvidia-smi /usr/local/bin/nvidia-smi /usr/local/nvidia/bin/nvidia-smi \
  /usr/lib/wsl/lib/nvidia-smi /opt/bin/nvidia-smi; do
  [ -n "$name" ] && [ -x "$name" ] || continue
  begin "smi $name"
  run "$name" -q -x 2>&1
  end $?
  begin nvlink
  run "$name" nvlink --status 2>&1
  end $?
  break
done
# Names only: to tell a program of this box on the GPU from somebody else's.
begin processes
for process in /proc/[0-9]*; do
  read -r name <"$process/comm" && echo "${process#/proc/} $name"
done
end 0
