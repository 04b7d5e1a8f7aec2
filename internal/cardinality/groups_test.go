package cardinality

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// pods sends points of pods × perPod series. Three labels tell the pod, a
// fourth, container_id, tells one of three containers of it.
func (r *rig) pods(pods, perPod int, containers bool) {
	list := make([][]attr, 0, perPod)
	for p := range pods {
		list = list[:0]
		for s := range perPod {
			attrs := []attr{
				point("pod", fmt.Sprintf("checkout-%d", p)), point("pod_uid", fmt.Sprintf("%08x", p*2654435761)),
				point("instance", fmt.Sprintf("10.0.%d.%d:80", p/256, p%256)), point("namespace", strconv.Itoa(p%4)),
				point("path", strconv.Itoa(s/3)), point("container", strconv.Itoa(s%3)),
			}
			if containers {
				attrs = append(attrs, point("container_id", fmt.Sprintf("%d-%d", p, s%3)))
			}
			list = append(list, attrs)
		}
		r.send("m", "", nil, list...)
	}
}

// TestCorrelatedLabelsAreFoundExactly in a metric that is small enough: 80
// pods × 100 series.
func TestCorrelatedLabelsAreFoundExactly(t *testing.T) {
	r := newRig(t, nil)
	r.pods(80, 100, false)
	a := r.only(t, "m").Analysis
	require.False(t, a.Estimated)
	require.EqualValues(t, 8000, a.Series)
	for _, key := range []string{"pod", "pod_uid", "instance"} {
		require.EqualValues(t, 8000, a.attribute(t, key).Without, "%s alone saves nothing", key)
	}
	require.NotEmpty(t, a.Groups)
	require.Equal(t, []string{"pod", "pod_uid", "instance"}, a.keys(a.Groups[0]))
	require.EqualValues(t, 400, a.Groups[0].Without, "100 series in each of 4 namespaces stay")
}

// TestCorrelatedLabelsAreFoundInSketches: 500 pods × 100 series, where a value
// of pod stands for many series and not for one.
func TestCorrelatedLabelsAreFoundInSketches(t *testing.T) {
	r := newRig(t, nil)
	subWindow := func() {
		r.pods(500, 100, false)
		r.rotate()
	}
	subWindow() // savings are known at its end, and pairs are counted in the next
	subWindow() // the group is known at its end, and counted in the next
	require.Empty(t, r.only(t, "m").Analysis.Groups)
	subWindow()
	a := r.only(t, "m").Analysis
	require.True(t, a.Estimated)
	require.NotEmpty(t, a.Groups)
	g := a.Groups[0]
	require.Equal(t, []string{"pod", "pod_uid", "instance"}, a.keys(g))
	require.InDelta(t, 400, float64(g.Without), 20)
	require.InDelta(t, 49_600, float64(a.Saving(g.Without)), 1000)
	require.Equal(t, r.now.Add(-r.settings.SubWindow), r.Began(g.Since), "it says since when")
	for range 6 { // it stays, with its counts
		subWindow()
	}
	again := r.only(t, "m").Analysis
	require.Equal(t, g.Since, again.Groups[0].Since)
	require.InDelta(t, 400, float64(again.Groups[0].Without), 20)
}

// TestGroupsHoldWhatDeterminesThem: to be rid of the pod, the container id
// must go too, which determines it.
func TestGroupsHoldWhatDeterminesThem(t *testing.T) {
	r := newRig(t, nil)
	r.pods(60, 99, true)
	a := r.only(t, "m").Analysis
	require.NotEmpty(t, a.Groups)
	require.ElementsMatch(t, []string{"container_id", "pod", "pod_uid", "instance"}, a.keys(a.Groups[0]))
	require.EqualValues(t, 4*99, a.Groups[0].Without)
}

// TestLabelsThatAreUniqueTogether: one value of each label a series.
func TestLabelsThatAreUniqueTogether(t *testing.T) {
	r := newRig(t, nil)
	for i := range 1000 {
		r.send("m", "", nil, []attr{point("pod", fmt.Sprint("p", i)), point("uid", fmt.Sprint("u", i)), point("ip", fmt.Sprint("i", i))})
	}
	a := r.only(t, "m").Analysis
	require.Len(t, a.Groups, 1)
	require.EqualValues(t, 1, a.Groups[0].Without)
}

// TestIndependentLabelsAreNoGroup: two labels that save nothing because they
// are constant, or that are not correlated, make none.
func TestIndependentLabelsAreNoGroup(t *testing.T) {
	r := newRig(t, nil)
	for i := range 4000 {
		r.send("m", "", nil, []attr{
			point("x", strconv.Itoa(i%40)), point("y", strconv.Itoa(i/40)), point("constant", "1"), point("also", "2"),
		})
	}
	require.Empty(t, r.only(t, "m").Analysis.Groups)
}
