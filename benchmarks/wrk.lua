-- One script for all fast rows. Arguments after `--`: the spec file (Lua that returns a table), the seed.
-- spec.paths: asked for in turn.  spec.body: pieces of an envelope, a random UUIDv4 goes between each two.
local spec, pieces, requests, turn

local function uuid()
  return string.format("%08x-%04x-4%03x-8%03x-%04x%08x", math.random(0, 4294967295), math.random(0, 65535),
    math.random(0, 4095), math.random(0, 4095), math.random(0, 65535), math.random(0, 4294967295))
end

function init(args)
  spec = dofile(args[1])
  math.randomseed(tonumber(args[2]))
  turn = 0
  if spec.body then
    pieces = {}
    for index, piece in ipairs(spec.body) do pieces[2 * index - 1] = piece end
  else
    requests = {}
    for index, path in ipairs(spec.paths) do requests[index] = wrk.format("GET", path, spec.headers) end
  end
end

function request()
  if pieces then
    for index = 2, #spec.body * 2 - 2, 2 do pieces[index] = uuid() end
    return wrk.format("POST", spec.paths[1], spec.headers, table.concat(pieces))
  end
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"bytes":%d,"refused":%d,"broken":%d,"p50":%.1f,"p99":%.1f}\n',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
