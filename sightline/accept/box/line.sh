# How fast files arrive from the addresses in $@.
# BYTES is the most that is fetched from each, SECONDS_EACH the time for it.

if command -v curl >/dev/null; then
  fetch() { exec curl -q -fsSL --connect-timeout 8 --max-time "$SECONDS_EACH" -o "$folder/line" "$1"; }
elif command -v wget >/dev/null; then
  # With the folder as home it keeps no notes in the person's.
  fetch() { HOME=$folder; export HOME; exec wget -q -T 8 -O "$folder/line" "$1"; }
else
  begin "line none"
  end 127
  exit 0
fi
# The fetched goes through a pipe, is counted and thrown away. Enough is enough, whatever the far end sends.
mkfifo "$folder/line" || { begin "line none"; end 1; exit 0; }
always=$guards
for address; do
  begin "line $address"
  dd if="$folder/line" of=/dev/null bs=4096 count=$((BYTES / 4096)) 2>&1 & counter=$!
  guards="$always $counter"
  read -r from _ </proc/uptime
  fetch "$address" 2>&1 & job=$!
  # curl ends in time by itself, with all that came handed on; this is for what does not.
  (trap 'kill $nap; exit' TERM; sleep $((SECONDS_EACH + 1)) & nap=$!; wait "$nap"; kill "$job") >/dev/null & late=$!
  guards="$guards $late"
  wait "$job"; code=$?; job=''
  kill "$late"
  # The counter still waits where nothing was ever sent: open both ends once, and it sees the end.
  : <>"$folder/line"
  wait "$counter"
  guards=$always
  read -r to _ </proc/uptime
  echo "time $from $to"
  end "$code"
done
