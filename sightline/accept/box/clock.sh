# The box's time: seconds since 1970, with a fraction where its `date` has one. Needs no prelude.
printf '\n%s begin clock\n' "$MARK"
date +%s.%N
printf '\n%s end %s\n' "$MARK" $?
