package prometheus

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	vector, err := decode[model.Vector](answer{status: 200, body: []byte(
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"route":"/a"},"value":[12.5,"0.75"]}]}}`)})
	require.NoError(t, err)
	assert.Equal(t, model.Vector{{Metric: model.Metric{"route": "/a"}, Value: 0.75, Timestamp: 12500}}, vector)

	matrix, err := decode[model.Matrix](answer{status: 200, body: []byte(
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[2,"3"]]}]}}`)})
	require.NoError(t, err)
	assert.Equal(t, model.Matrix{{Metric: model.Metric{}, Values: []model.SamplePair{{Timestamp: 1000, Value: 2}, {Timestamp: 2000, Value: 3}}}}, matrix)
}

func TestDecodeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		status     int
		body, want string
	}{
		"an error":        {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, "400: bad_data: parse error"},
		"a warning":       {200, `{"status":"success","warnings":["mixed histograms"],"data":{"resultType":"vector","result":[]}}`, "mixed histograms"},
		"another type":    {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`, "the result is a scalar, not a vector"},
		"what is no JSON": {502, `Bad Gateway`, "502: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode[model.Vector](answer{status: tc.status, body: []byte(tc.body)})
			require.ErrorContains(t, err, tc.want)
		})
	}
}
