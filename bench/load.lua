-- wrk script: sends the requests of a file in turn, and ends with a summary as one line of JSON.
-- The first file after `--` has a tenant and a token on each line. The second has a body on each
-- line: where there is one, the requests are POST.

local requests = {}
local last = 0

function init(args)
  local bodies = {}
  for line in io.lines(args[2]) do
    bodies[#bodies + 1] = line
  end
  for line in io.lines(args[1]) do
    local tenant, token = line:match("^(%S+) (%S+)$")
    local headers = { ["tenant"] = tenant, ["Authorization"] = "Bearer " .. token }
    if #bodies == 0 then
      requests[#requests + 1] = wrk.format("GET", nil, headers)
    end
    headers["Content-Type"] = "application/json"
    for _, body in ipairs(bodies) do
      requests[#requests + 1] = wrk.format("POST", nil, headers, body)
    end
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}\n',
    summary.requests,
    summary.duration / 1e6,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
