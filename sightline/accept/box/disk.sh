# How fast the data disk is, in the folder that the prelude made.
# PIECE is the MiB written and read at a time, PIECES how many at most, SECONDS_EACH the time for each way.

seconds() { read -r up _ </proc/uptime; echo "${up%.*}"; }

pieces() { # pieces WAY COMMAND...: the command for one piece after the other
  way=$1 piece=0 first=$(seconds); shift
  begin "$way"
  while [ "$piece" -lt "$PIECES" ] && [ $(($(seconds) - first)) -lt "$SECONDS_EACH" ]; do
    read -r from _ </proc/uptime
    run "$@" 2>&1 || { end "$code"; return "$code"; }
    read -r to _ </proc/uptime
    echo "time $from $to"
    piece=$((piece + 1))
  done
  end 0
}
write_piece() { exec dd if="$folder/piece" of="$folder/data" bs=1048576 seek=$((piece * PIECE)) "$@"; }
read_piece() { exec dd if="$folder/data" of=/dev/null bs=1048576 skip=$((piece * PIECE)) count="$PIECE" "$@"; }

# Random, so that no disk can be fast by packing it.
begin prepare
run dd if=/dev/urandom of="$folder/piece" bs=1048576 count="$PIECE" 2>&1
end $?

# Past the page cache where the disk lets us; written out before the time is taken where dd can do that.
try() { run dd if="$folder/piece" of="$folder/try" bs=1048576 count=1 "$@"; }
how=cached how_write='conv=notrunc'
for sync in fdatasync fsync; do
  if try "conv=$sync"; then how=$sync how_write="conv=notrunc,$sync"; break; fi
done
if try oflag=direct "${how_write%,*}"; then how="direct $how" how_write="oflag=direct $how_write"; fi
rm -f "$folder/try"
begin "writing $how"
end 0
# shellcheck disable=SC2086
pieces write write_piece $how_write || exit 0

written=$piece
if run dd if="$folder/data" of=/dev/null bs=1048576 count=1 iflag=direct; then how=direct how_read='iflag=direct'
else
  how=cached how_read=''
  # Asks the kernel to forget what it holds of the file; it may not.
  run dd if="$folder/data" of=/dev/null iflag=nocache count=0 && how=dropped
fi
begin "reading $how"
end 0
PIECES=$written
# shellcheck disable=SC2086
pieces read read_piece $how_read
