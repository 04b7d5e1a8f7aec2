package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of processor times in /proc. It is USER_HZ, which
// Linux fixes at 100 a second wherever Go runs.
const clockTick = 10 * time.Millisecond

// cpuTime reads how much processor time, user and system, a process has used.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(text)
}

// parseStat reads utime and stime, fields 14 and 15 of /proc/<pid>/stat (see
// proc_pid_stat(5)). The second field is a program's name in brackets, which
// may hold spaces and brackets: fields are counted from the last bracket.
func parseStat(text []byte) (time.Duration, error) {
	const utime, stime = 14 - 3, 15 - 3 // the field behind the bracket is the third
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, errors.New("/proc/<pid>/stat: no program name")
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/<pid>/stat: %d fields behind the name, want more than %d", len(fields), stime)
	}
	var ticks int64
	for _, field := range [][]byte{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/<pid>/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// peakMemory reads the largest resident size that a process has had, in bytes.
func peakMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parsePeak(text)
}

// parsePeak reads VmHWM of /proc/<pid>/status (see proc_pid_status(5)).
func parsePeak(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		value, found := bytes.CutPrefix(line, []byte("VmHWM:"))
		if !found {
			continue
		}
		number, unit, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
		kibibytes, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil || string(unit) != "kB" {
			return 0, fmt.Errorf("/proc/<pid>/status: VmHWM is %q", value)
		}
		return kibibytes << 10, nil
	}
	return 0, errors.New("/proc/<pid>/status: no VmHWM")
}
