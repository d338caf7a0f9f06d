-- Loads a folder of transformers and saves it as hone's: hone run save_encoder.lua FROM TO. For check_saved.py.
hone.load{ arg[1], len = 12 }:save(arg[2])
