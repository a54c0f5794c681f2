# What `cargo test` has printed, in short: how every failed test ended, and how many there were. Where only the end of a long
# log is kept, that is what is left of it.
/^---- .* stdout ----$/ { name[++tests] = substr($0, 6, length($0) - 17); inside = 1; next }
/^failures:$/ || /^test result:/ { inside = 0 }
/^test result:/ { passed += $4; failed += $6; ignored += $8 }
inside && NF && !/^note: run with / {
  said[tests, ++lines[tests]] = substr($0, 1, 300)
  # behind a panic stands what else ends with the test, such as the log of its operator
  if (/ panicked at / && !first[tests]) first[tests] = lines[tests]
}
END {
  for (test = 1; test <= tests; test++) {
    print "test: FAILED " name[test]
    from = first[test] ? first[test] : lines[test] - 11
    for (line = from; line < from + 12; line++) if ((test, line) in said) print "  " said[test, line]
  }
  printf "test: %d passed, %d failed, %d ignored\n", passed, failed, ignored
}
