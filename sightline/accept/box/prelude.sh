# Begins every script that runs on the box: POSIX sh, and nothing that a small image lacks. It arrives on
# stdin, whole and in braces, so that a half of it does nothing. The controller puts before it:
#   MARK    a word that no output of the box can know, at the head of every line that is ours
#   LIMIT   seconds after which the script ends itself
#   PLACE   the folder in which a folder of ours is made, or nothing
# Left behind is nothing: the folder goes when the script ends, when it is stopped, when the connection is
# lost (stdin ends then), and when its time is over.
set -u
export LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
umask 077
exec 3<&0 </dev/null 2>/dev/null
main=$$ folder='' job='' guards=''
born=$(cut -d ' ' -f 22 "/proc/$main/stat")

begin() { printf '\n%s begin %s\n' "$MARK" "$*"; }
end() { printf '\n%s end %s\n' "$MARK" "$1"; }

# Whether anybody but this shell runs in its process group: what has ended and was not waited for does not count.
others_run() {
  for stat in "/proc"/[0-9]*/stat; do
    read -r pid name state parent group rest <"$stat" || continue
    [ "$group" != "$main" ] || [ "$pid" = "$main" ] || [ "$state" = Z ] || return 0
  done
  return 1
}

# A guard that is told before it has set its trap, or just before it waits, would leave what it waits for; and
# what it has just started may forget that it was told. So, in a process group of our own, which sshd makes for
# a command, all are told at once, and again until nobody is left.
finish() {
  trap '' TERM HUP INT PIPE
  if read -r pid name state parent group rest <"/proc/$main/stat" && [ "$group" = "$main" ]; then
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      kill -TERM 0
      others_run || break
      sleep 0.1 || sleep 1
    done
  fi
  for pid in $job $guards; do kill "$pid"; done
  [ -z "$folder" ] || rm -rf -- "$folder"
}
trap finish EXIT
trap 'exit 143' TERM HUP INT PIPE

# What may take long runs beside the shell, which would not hear a signal until it has ended.
run() { "$@" & job=$!; wait "$job"; code=$?; job=''; return "$code"; }

# The running script and no other: its number may have been given to another program by now.
is_running() { [ "$(cut -d ' ' -f 22 "/proc/$main/stat")" = "$born" ]; }

# guard COMMAND...: when the command ends, so does the script. And what a script that was killed leaves, goes.
guard() {
  unset awaited
  # Told between the start of the command and the next line, it knows the command only as $!.
  trap 'kill ${awaited-$!}; exit' TERM
  "$@" >/dev/null & awaited=$!
  wait "$awaited"
  awaited=''
  is_running && kill "$main"
  for _ in 1 2 3 4 5; do is_running || break; sleep 1; done
  is_running && kill -9 "$main"
  # Of the two that guard, the second knows the first.
  for pid in $guards; do kill "$pid"; done
  [ -z "$folder" ] || rm -rf -- "$folder"
}

if [ -n "$PLACE" ]; then
  folder=${PLACE%/}/.sightline-accept-${MARK#@@}
  begin folder
  if ! mkdir "$folder" 2>&1; then folder=''; end 1; exit 0; fi
  end 0
fi
listen() { exec cat <&3; }
(trap - EXIT; exec >/dev/null; guard sleep "$LIMIT") & guards=$!
(trap - EXIT; exec >/dev/null; guard listen) & guards="$guards $!"
exec 3<&-
