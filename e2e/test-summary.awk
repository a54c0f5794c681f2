# What `cargo test` has printed, in short: how every failed test ended, and how many there were. Where only the end of a long
# log is kept, that is what is left of it.
/^---- .* stdout ----$/ { name = $2; failed[++tests] = name; next }
/^failures:$/ || /^test result:/ { name = "" }
/^test result:/ { passed += $4; ignored += $8 }
name != "" && NF && !/^note: / { said[name, ++lines[name]] = substr($0, 1, 300) }
END {
  for (test = 1; test <= tests; test++) {
    name = failed[test]
    print "test: FAILED " name
    for (line = lines[name] - 11; line <= lines[name]; line++) if (line > 0) print "  " said[name, line]
  }
  printf "test: %d passed, %d failed, %d ignored\n", passed, tests, ignored
}
