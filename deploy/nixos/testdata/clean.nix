let
  clean = value:
    if builtins.isAttrs value
    then builtins.listToAttrs (builtins.concatMap (n: if value.${n} == null then [ ] else [{ name = n; value = clean value.${n}; }]) (builtins.attrNames value))
    else if builtins.isList value then map clean value
    else value;
in
clean
